/** The contract's sections `training` and `algorithm` ; every key becomes a Hydra override of verl. */
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
    .describe("Ulysses sequence-parallel size; divides the trainer's GPUs (C-12)."),
  ref_offload: z
    .boolean()
    .default(true)
    .describe("Keep the reference model's parameters in host memory between uses."),
  actor_offload: z
    .boolean()
    .default(true)
    .describe("Keep the actor's parameters and optimizer state in host memory between uses."),
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
  val_before_train: z.boolean().default(false).describe("Validate once before the first step."),
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
});
