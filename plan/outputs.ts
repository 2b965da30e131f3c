import type { Names } from "./names.ts";
import type { Storage } from "./storage/index.ts";

/** The stack outputs that the Plan already knows. Their names are a contract. */
export interface Outputs {
  readonly checkpoint_path: string;
  readonly training_log: string;
  readonly vllm_log: string;
  readonly trajectory_log: string;
  readonly val_resolve_rate: string;
  readonly training_curves: string;
}

/** Metrics live in the tracker, or without a tracker in the training log. */
export function planOutputs(names: Names, { directories }: Storage, tracked: boolean): Outputs {
  const metric = (selection: string) =>
    tracked
      ? `wandb project ${names.project}, run ${names.run}: ${selection}`
      : `${directories.trainingLog}: ${selection} of the lines "step:N - …"`;
  return {
    checkpoint_path: directories.checkpoints,
    training_log: directories.trainingLog,
    vllm_log: directories.vllmLog,
    trajectory_log: directories.trials,
    val_resolve_rate: metric("val-core/*"),
    training_curves: metric("critic/score/mean, actor/*, response_length/*"),
  };
}
