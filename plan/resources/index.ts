export type { PlannedObject } from "./objects.ts";
export {
  imagesOf,
  isStanding,
  type PlannedImages,
  type PlannedPods,
  type StandingPods,
  sum,
} from "./pods.ts";
export { kindsOf, type ObjectKind, resourcesOf } from "./resources.ts";
