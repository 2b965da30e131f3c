export { loraRankKeys } from "./lora.ts";
export type { LogitsLoss } from "./logits.ts";
export { type Memory, planMemory, type RoleMemory } from "./memory.ts";
export { partNames } from "./parts.ts";
export { kvBytesPerToken, rolloutMemory } from "./rollout.ts";
export {
  layerPeak,
  lossPeak,
  optimizerPeak,
  scoringPeak,
  trainingPeak,
  type TrainingSetup,
} from "./trainer.ts";
