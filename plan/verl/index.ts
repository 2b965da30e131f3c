export { ownOverride } from "./command.ts";
export { fusedKernels } from "./engine.ts";
export { daemonSocket, localDockerEnvironment } from "./environment/docker.ts";
export type { EnvironmentVariable, TrainingSecret } from "./environment/types.ts";
export {
  addableKeys,
  formatOverride,
  formatValue,
  type Override,
  type OverrideValue,
} from "./override.ts";
export { composedKeys, keyStanding, type KeyStanding } from "./keys.ts";
export { planTrainer, type Trainer } from "./trainer.ts";
export { parsersOfBoth, verlToolParser } from "./tool-parsers.ts";
