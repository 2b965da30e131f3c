import type { V1Pod, V1PodSpec, V1Toleration } from "@kubernetes/client-node";
import type { Plan } from "../../config/plan/plan.ts";
import type { Fact } from "../finding.ts";
import { gpusFor, madeByKarpenter } from "../placement.ts";
import { type Client, read } from "./client.ts";
import type { NodeFact } from "./facts.ts";

/** A pod that has GPUs, or waits for some. */
export interface GpuPodFact {
  /** Node that it is bound to; undefined while it waits. */
  readonly node: string | undefined;
  readonly gpus: number;
  /** Stack that it belongs to; undefined for what is not of this project. */
  readonly stack: string | undefined;
  readonly namespace: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly V1Toleration[];
}

/** Lists in flight at once: enough to be quick, too few to be noticed. */
const atOnce = 16;

/** What still holds or wants resources. */
const alive = "status.phase!=Succeeded,status.phase!=Failed";

/**
 * The pods with GPUs on the nodes that the stack could use, and those that wait for one. Asked node by node, which
 * API servers answer from an index: a cluster may have thousands of other pods.
 */
export async function readGpuPods(
  { core }: Client,
  nodes: Fact<readonly NodeFact[]>,
  plan: Plan,
): Promise<Fact<readonly GpuPodFact[]>> {
  // Nodes that Karpenter makes for the stack are nobody else's.
  if (madeByKarpenter(plan)) return { known: true, value: [] };
  if (!nodes.known) return nodes;
  const { resource } = plan.gpuDemand;
  const names = nodes.value.filter((node) => gpusFor(plan, node) > 0).map(({ name }) => name);
  const selectors = ["", ...names].map((name) => `spec.nodeName=${name},${alive}`);
  return read(async () => {
    const found: GpuPodFact[] = [];
    for (let i = 0; i < selectors.length; i += atOnce) {
      const lists = await Promise.all(
        selectors
          .slice(i, i + atOnce)
          .map((fieldSelector) => core.listPodForAllNamespaces({ fieldSelector })),
      );
      found.push(...lists.flatMap(({ items }) => items.map((pod) => describePod(pod, resource))));
    }
    return found.filter(({ gpus }) => gpus > 0);
  });
}

function describePod({ metadata, spec }: V1Pod, resource: string): GpuPodFact {
  return {
    node: spec?.nodeName,
    gpus: spec ? gpusOf(spec, resource) : 0,
    stack: metadata?.labels?.["swe-rl.dev/stack"],
    namespace: metadata?.namespace ?? "",
    nodeSelector: spec?.nodeSelector ?? {},
    tolerations: spec?.tolerations ?? [],
  };
}

/** Containers run beside each other, init containers before them one by one. */
function gpusOf({ containers, initContainers = [] }: V1PodSpec, resource: string): number {
  const of = ({ resources }: V1PodSpec["containers"][number]) =>
    Number(resources?.requests?.[resource] ?? resources?.limits?.[resource] ?? 0);
  return Math.max(
    containers.reduce((sum, container) => sum + of(container), 0),
    ...initContainers.map(of),
  );
}
