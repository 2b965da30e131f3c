export {
  type Admission,
  type AdmissionRule,
  gateContainer,
  literal,
  planAdmission,
} from "./admission.ts";
export { planSandboxes, type Sandboxes } from "./bounds.ts";
export { planPrepull, type Prepull } from "./images.ts";
export type { TrialLife } from "./trial-life.ts";
export { planReaper, type Reaper } from "./reaper.ts";
