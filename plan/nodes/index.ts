export { claimKey, type NodeClaim, planNodeClaim } from "./claim.ts";
export { bestFit, describeDemand, type GpuDemand, planGpuDemand, sizesOf } from "./demand.ts";
export { type Disruption, planDisruption } from "./disruption.ts";
export { gpuPlacement, type Placement, sandboxPlacement } from "./placement.ts";
export { type NodePool, planNodePools } from "./pools.ts";
