import type { Experiment } from "../../config/schema/experiment.ts";
import type { AsyncTraining, Batches, Engine, Scaffold, Topology } from "../run/index.ts";
import type { Checkpoints, Storage } from "../storage/index.ts";
import { collectiveTimeoutSeconds } from "./fixed.ts";
import type { Override, OverrideValue } from "./override.ts";
import type { Names } from "../names.ts";

/** What the overrides are made from. */
export interface OverrideInputs {
  readonly experiment: Experiment;
  readonly topology: Topology;
  readonly engine: Engine;
  readonly batches: Batches;
  readonly asyncTraining: AsyncTraining | undefined;
  readonly storage: Storage;
  readonly checkpoints: Checkpoints;
  readonly names: Names;
  readonly scaffold: Scaffold;
  readonly agentLoopConfig: string;
  /** Whether metrics go to the tracker. */
  readonly tracked: boolean;
}

/** Source of values that no setting decides. */
export const noSetting = "docs/decisions.md#overrides-without-a-setting";

/** Source of what follows from the length of a trial and the GPUs that share it. */
const window = "training.max_prompt_length; training.max_response_length; training.sp_size";

export const set = (key: string, value: OverrideValue, source: string): Override => ({
  key,
  value,
  prefix: "",
  source,
});
export const add = (key: string, value: OverrideValue, source: string): Override => ({
  ...set(key, value, source),
  prefix: "++",
});

export function dataOverrides(inputs: OverrideInputs): Override[] {
  const { experiment, batches, asyncTraining } = inputs;
  const { data, training } = experiment;
  return [
    set("data.train_files", data.train_index, "data.train_index"),
    set("data.val_files", data.val_index, "data.val_index"),
    set("data.prompt_key", "prompt", noSetting),
    set("data.return_raw_chat", true, noSetting),
    set("data.truncation", "left", noSetting),
    ...(asyncTraining
      ? [set("data.train_batch_size", 0, noSetting)]
      : [set("data.train_batch_size", batches.prompts, "training.train_batch_size")]),
    set("data.val_batch_size", training.val_batch_size, "training.val_batch_size"),
    set("data.max_prompt_length", batches.promptTokens, "training.max_prompt_length"),
    set("data.max_response_length", batches.responseTokens, "training.max_response_length"),
  ];
}

export function modelOverrides({ experiment, topology }: OverrideInputs): Override[] {
  const prefix = "actor_rollout_ref";
  return [
    set(`${prefix}.model.path`, experiment.model.model_path, "model.model_path"),
    set(`${prefix}.model.use_remove_padding`, true, noSetting),
    set(`${prefix}.model.enable_gradient_checkpointing`, true, noSetting),
    set(`${prefix}.hybrid_engine`, topology.mode === "sync", "tier"),
    set(`${prefix}.nccl_timeout`, collectiveTimeoutSeconds, noSetting),
  ];
}

export function actorOverrides({ experiment, batches }: OverrideInputs): Override[] {
  const { training, algorithm } = experiment;
  const actor = (key: string, value: OverrideValue, source: string) =>
    set(`actor_rollout_ref.actor.${key}`, value, source);
  return [
    actor("optim.lr", algorithm.learning_rate, "algorithm.learning_rate"),
    actor("ppo_mini_batch_size", batches.miniBatchPrompts, "training.train_prompt_mini_batch_size"),
    actor("ppo_micro_batch_size_per_gpu", 1, noSetting),
    actor("use_dynamic_bsz", training.use_dynamic_bsz, "training.use_dynamic_bsz"),
    actor("ppo_max_token_len_per_gpu", batches.tokensPerGpu, window),
    actor("use_kl_loss", algorithm.use_kl_loss, "algorithm.use_kl_loss"),
    actor("kl_loss_coef", algorithm.kl_loss_coef, "algorithm.kl_loss_coef"),
    actor("kl_loss_type", algorithm.kl_loss_type, "algorithm.kl_loss_type"),
    actor("clip_ratio_low", algorithm.clip_ratio_low, "algorithm.clip_ratio_low"),
    actor("clip_ratio_high", algorithm.clip_ratio_high, "algorithm.clip_ratio_high"),
    actor("entropy_coeff", algorithm.entropy_coeff, "algorithm.entropy_coeff"),
    actor("loss_agg_mode", algorithm.loss_agg_mode, "algorithm.loss_agg_mode"),
    actor("policy_loss.loss_mode", algorithm.policy_loss_mode, "algorithm.policy_loss_mode"),
  ];
}

export function referenceOverrides(): Override[] {
  const key = "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu";
  return [set(key, 1, noSetting)];
}

/** Names of the agent loops in their configurations. */
const agentLoops = { fork: "builtin_swe_agent", stock: "harbor" } as const;

export function rolloutOverrides(inputs: OverrideInputs): Override[] {
  const { experiment, batches, topology, engine: trainer } = inputs;
  const { vllm, algorithm, model } = experiment;
  const replays = trainer.routerReplay === "R3";
  const key = (name: string) => `actor_rollout_ref.rollout.${name}`;
  const rollout = (name: string, value: OverrideValue, source: string) =>
    set(key(name), value, source);
  const engine = (name: string, value: OverrideValue, source: string) =>
    add(key(`engine_kwargs.vllm.${name}`), value, source);
  return [
    rollout("name", "vllm", noSetting),
    rollout("mode", "async", noSetting),
    rollout("tensor_model_parallel_size", topology.tensorParallel, "vllm.gen_tp"),
    rollout("gpu_memory_utilization", vllm.gpu_memory_utilization, "vllm.gpu_memory_utilization"),
    rollout("max_model_len", batches.modelLength, "vllm.max_model_length"),
    rollout("max_num_seqs", vllm.max_num_seqs, "vllm.max_num_seqs"),
    rollout("dtype", vllm.dtype, "vllm.dtype"),
    rollout("enforce_eager", vllm.enforce_eager, "vllm.enforce_eager"),
    rollout("enable_chunked_prefill", vllm.enable_chunked_prefill, "vllm.enable_chunked_prefill"),
    ...(topology.mode === "sync"
      ? [
          rollout("free_cache_engine", true, noSetting),
          // No key of the configuration files, but of the class that reads them, where it is the default.
          add("actor_rollout_ref.rollout.enable_sleep_mode", true, noSetting),
        ]
      : [rollout("checkpoint_engine.backend", "nccl", noSetting)]),
    rollout("enable_rollout_routing_replay", replays, "verl.router_replay"),
    rollout("calculate_log_probs", true, noSetting),
    rollout("log_prob_micro_batch_size_per_gpu", 1, noSetting),
    rollout("n", batches.trialsPerPrompt, "training.n_resp_per_prompt"),
    rollout("temperature", algorithm.temperature, "algorithm.temperature"),
    rollout("top_p", algorithm.top_p, "algorithm.top_p"),
    rollout("top_k", algorithm.top_k, "algorithm.top_k"),
    rollout("val_kwargs.temperature", algorithm.val_temperature, "algorithm.val_temperature"),
    rollout("val_kwargs.top_p", algorithm.val_top_p, "algorithm.val_top_p"),
    rollout("val_kwargs.top_k", algorithm.val_top_k, "algorithm.val_top_k"),
    rollout("val_kwargs.do_sample", algorithm.val_temperature > 0, "algorithm.val_temperature"),
    rollout(
      "agent.num_workers",
      experiment.harbor_runtime.num_workers,
      "harbor_runtime.num_workers",
    ),
    rollout(
      "agent.default_agent_loop",
      experiment.trainer.agent_loop ?? agentLoops[experiment.verl.distribution],
      "trainer.agent_loop",
    ),
    rollout("agent.agent_loop_config_path", inputs.agentLoopConfig, "trainer.agent_loop_config"),
    // Without it verl's fully asynchronous trainer takes its own loop of one turn (detach_utils.py, verl 0.9.1).
    ...(experiment.verl.distribution === "stock"
      ? [rollout("multi_turn.enable", true, noSetting)]
      : []),
    engine("served-model-name", model.served_model_name, "model.served_model_name"),
    engine("enable-auto-tool-choice", true, noSetting),
    engine("tool-call-parser", inputs.scaffold.toolCallParser, "docs/decisions.md#c-22"),
  ];
}

export function algorithmOverrides(inputs: OverrideInputs): Override[] {
  const { experiment, asyncTraining } = inputs;
  const { algorithm } = experiment;
  const estimator = algorithm.adv_estimator === "ppo" ? "gae" : algorithm.adv_estimator;
  return [
    set("algorithm.adv_estimator", estimator, "algorithm.adv_estimator"),
    set("algorithm.use_kl_in_reward", false, noSetting),
    set("algorithm.rollout_correction.rollout_is", algorithm.rollout_is, "algorithm.rollout_is"),
    ...(algorithm.rollout_is === null
      ? []
      : [
          set(
            "algorithm.rollout_correction.rollout_is_threshold",
            algorithm.rollout_is_threshold,
            "algorithm.rollout_is_threshold",
          ),
        ]),
    ...(asyncTraining ? asyncAlgorithmOverrides(experiment) : []),
  ];
}

function asyncAlgorithmOverrides({ algorithm, verl }: Experiment): Override[] {
  const filter = (key: string, value: OverrideValue) =>
    add(`algorithm.trajectory_filter.${key}`, value, `algorithm.trajectory_filter.${key}`);
  return [
    set("algorithm.rollout_correction.bypass_mode", false, noSetting),
    ...(verl.distribution === "fork"
      ? [
          filter("enable", algorithm.trajectory_filter.enable),
          filter("drop_reasons", algorithm.trajectory_filter.drop_reasons),
        ]
      : []),
  ];
}

/** PPO trains a critic beside the actor, with the same model and packing. */
export function criticOverrides(inputs: OverrideInputs): Override[] {
  const { experiment, batches } = inputs;
  if (experiment.algorithm.adv_estimator !== "ppo") return [];
  const critic = (key: string, value: OverrideValue, source: string) =>
    set(`critic.${key}`, value, source);
  return [
    critic("model.path", experiment.model.model_path, "model.model_path"),
    critic("model.enable_gradient_checkpointing", true, noSetting),
    critic("model.use_remove_padding", true, noSetting),
    critic("ppo_micro_batch_size_per_gpu", 1, noSetting),
    critic("ppo_max_token_len_per_gpu", batches.tokensPerGpu, window),
  ];
}

export function trainerOverrides(inputs: OverrideInputs): Override[] {
  const { experiment, topology, storage, names, checkpoints } = inputs;
  const { training, verl } = experiment;
  const kept = checkpoints.keep === "all" ? null : checkpoints.keep;
  const trainer = (key: string, value: OverrideValue, source: string) =>
    set(`trainer.${key}`, value, source);
  return [
    trainer("nnodes", topology.trainerNodes, "tier; infrastructure.trainer_nodes"),
    trainer("n_gpus_per_node", topology.gpusPerNode, "infrastructure.ngpus_per_node"),
    trainer("project_name", names.project, "experiment.project_name"),
    trainer("experiment_name", names.run, "experiment.exp_name"),
    trainer(
      "logger",
      inputs.tracked ? ["console", "wandb"] : ["console"],
      "credentials.wandb_mode",
    ),
    trainer("default_local_dir", storage.directories.checkpoints, noSetting),
    trainer("resume_mode", "auto", noSetting),
    trainer("total_epochs", training.total_epochs, "training.total_epochs"),
    trainer("save_freq", training.save_freq, "training.save_freq"),
    trainer("max_actor_ckpt_to_keep", kept, "training.checkpoints_to_keep"),
    trainer("max_critic_ckpt_to_keep", kept, "training.checkpoints_to_keep"),
    trainer("test_freq", training.test_freq, "training.test_freq"),
    trainer("val_before_train", training.val_before_train, "training.val_before_train"),
    ...(verl.version === "0.8.0" ? [] : [trainer("use_v1", false, noSetting)]),
  ];
}

/** verl gives its actors no namespace, and Ray would make one up. */
export function rayNamespaceOverride(namespace: string): Override {
  return add("ray_kwargs.ray_init.namespace", namespace, noSetting);
}
