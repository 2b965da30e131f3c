import type { Override, OverrideValue } from "./override.ts";
import { add, noSetting, type OverrideInputs, set } from "./sections.ts";

/** Keys that only verl's fully asynchronous configuration has. */
export function asyncTrainingOverrides(inputs: OverrideInputs): Override[] {
  const { asyncTraining, topology, batches, experiment } = inputs;
  if (!asyncTraining) return [];
  const training = (key: string, value: OverrideValue, source = `async_training.${key}`) =>
    set(`async_training.${key}`, value, source);
  const { concurrentSamplesPerServer: perServer } = asyncTraining;
  return [
    training("staleness_threshold", asyncTraining.stalenessThreshold),
    training("partial_rollout", asyncTraining.partialRollout),
    training("require_batches", asyncTraining.requireBatches),
    training("trigger_parameter_sync_step", asyncTraining.parameterSyncSteps),
    ...(perServer === undefined
      ? []
      : [
          training(
            "concurrent_samples_per_replica",
            perServer,
            "async_training.max_concurrent_samples",
          ),
        ]),
    ...(experiment.verl.distribution === "fork"
      ? [
          add(
            "async_training.validation_rollout_min_idle_workers",
            asyncTraining.validationMinIdleWorkers,
            "async_training.validation_rollout_min_idle_workers",
          ),
        ]
      : []),
    set("data.gen_batch_size", 1, noSetting),
    // verl copies the next two, but not the third, over those of actor_rollout_ref.rollout.
    set("rollout.nnodes", topology.rolloutNodes, "tier; infrastructure.rollout_nodes"),
    set("rollout.n_gpus_per_node", topology.gpusPerNode, "infrastructure.ngpus_per_node"),
    set("rollout.n", batches.trialsPerPrompt, "training.n_resp_per_prompt"),
    set(
      "rollout.total_rollout_steps",
      asyncTraining.totalRolloutSteps,
      "async_training.total_rollout_steps",
    ),
    set("actor_rollout_ref.actor.use_rollout_log_probs", true, noSetting),
  ];
}
