export {
  type AsyncTraining,
  canSetConcurrency,
  planAsyncTraining,
  samplesPerServer,
} from "./async-training.ts";
export { type Batches, planBatches } from "./batches.ts";
export { type Engine, planEngine, replayObstacle } from "./engine.ts";
export { canShareKvHeads } from "./kv-heads.ts";
export { planScaffold, type Scaffold, scaffoldOf } from "./scaffold.ts";
export { nodesOfTier, planTopology, type Topology } from "./topology.ts";
