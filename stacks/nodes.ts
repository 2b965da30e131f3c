import type * as pulumi from "@pulumi/pulumi";
import { GpuNodeClaim } from "../components/compute/gpu-node-claim.ts";
import { KarpenterPool } from "../components/compute/karpenter-pool.ts";
import type { Plan } from "../plan/plan.ts";

/** The nodes that a stack reserves or has made for itself; whatever runs on them depends on these. */
export function nodes(plan: Plan, opts: pulumi.ComponentResourceOptions): pulumi.Resource[] {
  const { labels, nodeClaim, nodePools } = plan;
  return [
    ...(nodeClaim ? [new GpuNodeClaim("gpu-nodes", { claim: nodeClaim }, opts)] : []),
    ...nodePools.map((pool) => new KarpenterPool(`${pool.purpose}-pool`, { labels, pool }, opts)),
  ];
}
