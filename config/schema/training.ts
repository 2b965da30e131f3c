/** The sections `training`, `async_training` and `algorithm`; every key becomes a Hydra override of verl. */
import { z } from "zod";
import { count } from "./scalars.ts";

export const training = z.strictObject({
  train_batch_size: count().default(64).describe("Prompts of one training step. Smoke batch: 8."),
  val_batch_size: count().default(500).describe("Prompts of one validation batch."),
  n_resp_per_prompt: count()
    .default(8)
    .describe("Trials per prompt. More than 1 for GRPO. Smoke batch: 4."),
  train_prompt_mini_batch_size: count()
    .default(64)
    .describe("Prompts of one optimizer update; at most `train_batch_size`."),
  max_prompt_length: count().default(40000).describe("Longest prompt in tokens."),
  max_response_length: count()
    .default(68000)
    .describe("Longest response in tokens, over all turns of a trial."),
  sp_size: count()
    .default(4)
    .describe(
      "GPUs that share one sequence (Ulysses; engines fsdp and veomni); divides the trainer's GPUs (C-12). Qwen3.5 needs 1 (C-13).",
    ),
  fsdp_size: z
    .union([z.literal(-1), count()])
    .default(-1)
    .describe(
      "GPUs over which parameters are sharded (engines fsdp and veomni); -1 all of the trainer's. Three-node with the 131k window: 16 (C-17).",
    ),
  ep_size: count()
    .default(1)
    .describe("Expert-parallel size (engines veomni and megatron); 1 is off."),
  tp_size: count().default(1).describe("Tensor-parallel size of the trainer (engine megatron)."),
  pp_size: count().default(1).describe("Pipeline-parallel size of the trainer (engine megatron)."),
  cp_size: count().default(1).describe("Context-parallel size of the trainer (engine megatron)."),
  ref_offload: z
    .boolean()
    .default(true)
    .describe("Keep the reference model's parameters in host memory between uses."),
  actor_offload: z
    .boolean()
    .default(true)
    .describe("Keep the actor's parameters and optimizer state in host memory between uses."),
  activation_offload: z
    .boolean()
    .default(false)
    .describe(
      "Keep what the layers need for their backward pass in host memory until then (engine fsdp). Long windows of dense models fit with it; every update copies it there and back.",
    ),
  logits_copies: z
    .int()
    .min(0)
    .max(12)
    .optional()
    .describe(
      "Tensors as large as the micro-batch's logits in bf16 that your loss has at once, for the memory estimate alone: 0 fused, 1 to 4 by release (docs/memory.md), 6 a plain cross-entropy in fp32. Default: what the release of verl has.",
    ),
  use_dynamic_bsz: z
    .boolean()
    .default(true)
    .describe("Pack micro-batches by tokens instead of by sequences."),
  total_epochs: count().default(3).describe("Passes over the training index."),
  test_freq: z.int().min(-1).default(5).describe("Validate every this many steps; -1 never."),
  save_freq: z
    .int()
    .min(-1)
    .default(5)
    .describe("Save a checkpoint every this many steps; -1 never."),
  checkpoints_to_keep: z
    .union([count(), z.literal("all")])
    .optional()
    .describe(
      "Checkpoints that one start of the run keeps; verl deletes older ones. `all` deletes none. Default: as many as the checkpoint volume holds, shared among the first start and `trainer.max_restarts` more; 2 where the size of a checkpoint is not known.",
    ),
  val_before_train: z.boolean().default(false).describe("Validate once before the first step."),
});

export const asyncTraining = z.strictObject({
  staleness_threshold: z
    .number()
    .min(0)
    .default(1)
    .describe(
      "Weight versions that a trial may lag before the rollout servers wait: 0 is fully on-policy, 1 tolerant (D-28).",
    ),
  partial_rollout: z
    .boolean()
    .default(true)
    .describe("Resume a generation that a weight sync has cut."),
  trigger_parameter_sync_step: count()
    .optional()
    .describe(
      "Trainer steps between two weight syncs. Default: train_batch_size / (train_prompt_mini_batch_size × require_batches) (D-29).",
    ),
  require_batches: count().default(1).describe("Mini-batches that the trainer takes at once."),
  max_concurrent_samples: count()
    .optional()
    .describe(
      "Prompts in flight at once. Derived by verl (D-11): the smaller of rollout servers × 32 (fork) or × 16 (stock) and what staleness allows. Only stock verl 0.9.1 can be told otherwise.",
    ),
  total_rollout_steps: count()
    .default(204800)
    .describe("Prompts of the whole run, at most: `total_epochs` may end it earlier."),
  validation_rollout_min_idle_workers: z
    .int()
    .min(0)
    .default(8)
    .describe("Idle workers kept for validation. Only the fork reads it."),
});

const policyLosses = [
  "vanilla",
  "gspo",
  "dppo_tv",
  "dppo_kl",
  "sapo",
  "gpg",
  "clip_cov",
  "kl_cov",
  "geo_mean",
  "dro",
  "cispo",
] as const;

export const algorithm = z.strictObject({
  adv_estimator: z
    .enum(["grpo", "ppo"])
    .default("grpo")
    .describe(
      "Advantage estimator: `grpo` (group-relative, no critic) or `ppo` (GAE with a critic).",
    ),
  policy_loss_mode: z
    .enum(policyLosses)
    .default("gspo")
    .describe("Policy loss of verl; `gspo` is the sequence-level loss."),
  learning_rate: z.number().gt(0).default(1e-6).describe("Learning rate of the actor."),
  lr_scheduler: z
    .enum(["constant", "cosine"])
    .default("constant")
    .describe(
      "Course of the learning rate. Anything but constant falls to zero where the number of steps is not known in advance (C-18).",
    ),
  rollout_is: z
    .enum(["token", "sequence"])
    .nullable()
    .default(null)
    .describe(
      "Importance sampling between rollout and trainer: by `token`, by `sequence`, or null for none. By sequence it starves on long responses (C-20).",
    ),
  rollout_is_threshold: z
    .number()
    .gt(0)
    .default(2)
    .describe("Largest weight of importance sampling; larger ones are cut."),
  use_kl_loss: z
    .boolean()
    .default(false)
    .describe("Add a KL term against the reference model to the loss."),
  kl_loss_coef: z.number().min(0).default(0.001).describe("Weight of the KL term."),
  kl_loss_type: z
    .enum(["kl", "abs", "mse", "low_var_kl", "k1", "k2", "k3"])
    .default("low_var_kl")
    .describe("Estimator of the KL term."),
  clip_ratio_low: z
    .number()
    .gt(0)
    .default(3e-4)
    .describe("Lower clip of the importance ratio; of the order of 1e-4 for GSPO."),
  clip_ratio_high: z.number().gt(0).default(4e-4).describe("Upper clip of the importance ratio."),
  entropy_coeff: z.number().min(0).default(0).describe("Weight of the entropy bonus."),
  loss_agg_mode: z
    .enum(["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"])
    .default("seq-mean-token-mean")
    .describe("How token losses are averaged."),
  temperature: z.number().gt(0).default(1).describe("Sampling temperature of training rollouts."),
  top_p: z.number().gt(0).max(1).default(1).describe("Nucleus sampling of training rollouts."),
  top_k: z.int().min(-1).default(-1).describe("Top-k of training rollouts; -1 is off."),
  val_temperature: z
    .number()
    .min(0)
    .default(0)
    .describe("Sampling temperature of validation; 0 is greedy."),
  val_top_p: z.number().gt(0).max(1).default(1).describe("Nucleus sampling of validation."),
  val_top_k: z.int().min(-1).default(-1).describe("Top-k of validation; -1 is off."),
  trajectory_filter: z
    .strictObject({
      enable: z.boolean().default(true).describe("Drop trials that ended for these reasons."),
      drop_reasons: z
        .array(
          z.enum([
            "timeout",
            "env_setup_failed",
            "overlong",
            "max_turns_reached",
            "agent_completed",
          ]),
        )
        .default(["timeout", "env_setup_failed"])
        .describe("Termination reasons whose trials teach nothing."),
    })
    .prefault({})
    .describe(
      "Which rewarded trials are not trained on. With `verl.distribution: fork` only on the asynchronous tiers.",
    ),
});
