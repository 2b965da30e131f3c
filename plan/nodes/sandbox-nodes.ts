import type { Toleration } from "../../config/schema/scalars.ts";
import type { NodeClaim } from "./claim.ts";
import type { NodePool, Placement } from "./pools.ts";
import type { Problems } from "../problems.ts";
import type { Topology } from "../run/topology.ts";

interface Taint {
  readonly key: string;
  readonly value: string;
}

/** Untrusted code stays off the GPU nodes. A site with one GPU node may have no other, and is told what that means. */
export function checkSandboxNodes(
  parts: {
    topology: Topology;
    gpu: Placement;
    sandbox: Placement;
    claim: NodeClaim | undefined;
    pools: readonly NodePool[];
  },
  problems: Problems,
): void {
  const { topology, gpu, sandbox, claim, pools } = parts;
  const taints: Taint[] = [
    ...pools.filter(({ purpose }) => purpose === "gpu").map(({ taint }) => taint),
    ...(claim ? [claim.taint] : []),
  ];
  const isKeptAway = taints.some((taint) => !sandbox.tolerations.some(tolerates(taint)));
  if (isKeptAway || !covers(sandbox.nodeSelector, gpu.nodeSelector)) return;
  const path = ["site", "sandbox_nodes", "selector"];
  const shown = Object.entries(sandbox.nodeSelector).map((entry) => entry.join("="));
  const found = `is ${shown.join(",") || "empty"}, which every GPU node matches too`;
  if (topology.mode === "sync") {
    problems.warn(
      "sandbox-nodes",
      path,
      `${found}: sandboxes may share the trainer's node, which they always reach, and its CPUs, memory and disk. On a site with one node there is no other way; else name other nodes.`,
    );
    return;
  }
  problems.error(
    "sandbox-nodes",
    path,
    `${found}: untrusted code would run beside the trainer and the rollout servers of tier ${topology.tier}, on nodes that it always reaches. Name a label that the GPU nodes do not have, or another value of one of theirs.`,
  );
}

/** Whether every node with the one selector's labels has the other's as well. */
function covers(
  wide: Readonly<Record<string, string>>,
  narrow: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wide).every(([key, value]) => narrow[key] === value);
}

function tolerates({ key, value }: Taint): (toleration: Toleration) => boolean {
  return (toleration) =>
    (toleration.key === undefined || toleration.key === key) &&
    (toleration.operator === "Exists" || (toleration.value ?? "") === value);
}
