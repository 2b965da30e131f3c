import type { Basis } from "../../host.ts";
import { noSetting, row } from "./row.ts";
import type { EnvironmentInputs, EnvironmentVariable } from "./types.ts";

/** Variables that only the asynchronous generations of the original system have. */
export function asyncVariables(
  { experiment }: Basis,
  inputs: EnvironmentInputs,
): EnvironmentVariable[] {
  const { topology, engine, batches, asyncTraining, scaffold, storage, names } = inputs;
  if (!asyncTraining) return [];
  const { training, vllm, algorithm, harbor_runtime: runtime } = experiment;
  const fromTraining = (key: string) => `training.${key}`;
  const fromAsync = (key: string) => `async_training.${key}`;
  return [
    ...row("TRAINING_MODE", "async", "tier"),
    ...row("MODEL_ENGINE", engine.name, "verl.engine"),
    ...row("SCAFFOLD", shortNames[scaffold.name], "harbor_agent.scaffold"),
    ...row("BACKEND", "k8s", "docs/decisions.md#d-32"),
    ...row("N_NODES_TRAIN", topology.trainerNodes, "tier; infrastructure.trainer_nodes"),
    ...row("N_NODES_ROLLOUT", topology.rolloutNodes, "tier; infrastructure.rollout_nodes"),
    ...row("TRAIN_FILES", experiment.data.train_index, "data.train_index"),
    ...row("VAL_FILES", experiment.data.val_index, "data.val_index"),
    ...row("TOTAL_EPOCHS", training.total_epochs, fromTraining("total_epochs")),
    ...row("TRAIN_BSZ", batches.prompts, fromTraining("train_batch_size")),
    ...row(
      "TRAIN_MINI_BSZ",
      batches.miniBatchPrompts,
      fromTraining("train_prompt_mini_batch_size"),
    ),
    ...row("N_RESP", batches.trialsPerPrompt, fromTraining("n_resp_per_prompt")),
    ...row("MAX_PROMPT", batches.promptTokens, fromTraining("max_prompt_length")),
    ...row("MAX_RESP", batches.responseTokens, fromTraining("max_response_length")),
    ...row("ROLLOUT_MAX_MODEL_LEN", batches.modelLength, "vllm.max_model_length"),
    ...row("SP_SIZE", engine.sequenceParallel, fromTraining("sp_size")),
    ...row("EP_SIZE", engine.expertParallel, fromTraining("ep_size")),
    ...row("GEN_TP", topology.tensorParallel, "vllm.gen_tp"),
    ...row("GPU_MEM_UTIL", vllm.gpu_memory_utilization, "vllm.gpu_memory_utilization"),
    ...row("ENFORCE_EAGER", vllm.enforce_eager, "vllm.enforce_eager"),
    ...row("AGENT_NUM_WORKERS", runtime.num_workers, "harbor_runtime.num_workers"),
    ...row("ADV_ESTIMATOR", algorithm.adv_estimator, "algorithm.adv_estimator"),
    ...row("POLICY_LOSS_MODE", algorithm.policy_loss_mode, "algorithm.policy_loss_mode"),
    ...row("STALENESS", asyncTraining.stalenessThreshold, fromAsync("staleness_threshold")),
    ...row("PARTIAL_ROLLOUT", asyncTraining.partialRollout, fromAsync("partial_rollout")),
    ...row("REQUIRE_BATCHES", asyncTraining.requireBatches, fromAsync("require_batches")),
    ...row(
      "TRIGGER_PARAMETER_SYNC_STEP",
      asyncTraining.parameterSyncSteps,
      fromAsync("trigger_parameter_sync_step"),
    ),
    ...row(
      "TOTAL_ROLLOUT_STEPS",
      asyncTraining.totalRolloutSteps,
      fromAsync("total_rollout_steps"),
    ),
    ...row(
      "VALIDATION_ROLLOUT_MIN_IDLE_WORKERS",
      asyncTraining.validationMinIdleWorkers,
      fromAsync("validation_rollout_min_idle_workers"),
    ),
    ...row("ENABLE_R3", engine.routerReplay === "R3", "verl.router_replay; docs/decisions.md#c-15"),
    ...row("HARBOR_EXP_NAME", names.run, "experiment.exp_name"),
    ...row("HARBOR_LOG_DIR", storage.directories.logs, noSetting),
    // Recomputing log-probabilities of rewritten histories once ran out of GPU memory at step 1.
    ...row("HARBOR_RECOMPUTE_MISMATCH_LOGPROBS", "0", noSetting),
  ];
}

/** The original's names of the scaffolds. */
const shortNames = {
  "claude-code": "cc",
  "openhands-sdk": "ohsdk",
  openhands: "oh",
  opencode: "oc",
  custom: undefined,
} as const;
