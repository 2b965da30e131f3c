export { type Checkpoints, fullAfterStep, planCheckpoints } from "./checkpoints.ts";
export {
  type Directories,
  isOwn,
  placeOf,
  planStorage,
  type Storage,
  type Volume,
} from "./storage.ts";
export { planTrialRecords, type TrialRecords } from "./trial-records.ts";
