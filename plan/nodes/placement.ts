import type { Toleration } from "../../config/schema/scalars.ts";
import type { Basis } from "../host.ts";
import { nodePoolOf, priorityClassOf } from "../names.ts";
import type { NodeClaim } from "./claim.ts";

/** Where pods may run. */
export interface Placement {
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  /** PriorityClass of the pods; undefined for sandboxes, which have no priority. */
  readonly priorityClass?: string;
}

/** Label and taint of a pool's nodes; the value is the pool. */
export const poolLabel = "swe-rl.dev/node-pool";

/** Where the GPU pods run: on the site's nodes, on those that the stack claims, or on those that Karpenter makes for it. */
export function gpuPlacement(settings: Basis, claim: NodeClaim | undefined): Placement {
  const { selector, tolerations, pool } = settings.host.gpu_nodes;
  const own = pool.kind === "karpenter" ? poolPlacement(settings, "gpu") : undefined;
  return {
    priorityClass: priorityClassOf(settings.stack),
    nodeSelector: { ...selector, ...claim?.label, ...own?.nodeSelector },
    tolerations: [
      ...tolerations,
      ...(claim ? [claim.toleration] : []),
      ...(own?.tolerations ?? []),
    ],
  };
}

export function sandboxPlacement(settings: Basis): Placement {
  const { selector, tolerations, pool } = settings.host.sandbox_nodes;
  const own = pool.kind === "karpenter" ? poolPlacement(settings, "sandbox") : undefined;
  return {
    nodeSelector: { ...selector, ...own?.nodeSelector },
    tolerations: [...tolerations, ...(own?.tolerations ?? [])],
  };
}

function poolPlacement({ stack }: Basis, purpose: "gpu" | "sandbox"): Placement {
  const value = nodePoolOf(stack, purpose);
  return {
    nodeSelector: { [poolLabel]: value },
    tolerations: [{ key: poolLabel, operator: "Equal", value, effect: "NoSchedule" }],
  };
}
