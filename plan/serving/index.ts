export { type FrozenModel, leastProcessMemoryBytes, planServing } from "./frozen-models.ts";
export { type PolicyCheck, planPolicyCheck } from "./policy-check.ts";
export { costOfProxyMode, type InProcessProxy, planInProcessProxy } from "./proxy-mode.ts";
export { planProxy, type Proxy, type Recorder } from "./proxy.ts";
