export { planAsJson, shownValue } from "./environment.ts";
export { summarize } from "./summary.ts";
