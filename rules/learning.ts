/** Rules about what decides whether a run learns, though it would start either way. */
import { defineRule } from "./rule.ts";

/** Response from which sequence-level weights, products over all tokens, are nearly all lost (inferred). */
const longResponse = 8192;

/** Between the clip ratios of sequence-level losses, about 1e-4, and those of token-level losses, about 0.1. */
const clipBoundary = 0.01;

export const learningRate = defineRule({
  id: "C-18",
  title: "a constant learning rate",
  severity: "warn",
  consequence:
    "where the number of steps is not known in advance, as in asynchronous training, the learning rate falls to zero",
  remedy: "leave algorithm.lr_scheduler out",
  source: "docs/decisions.md#c-18",
  *check({ settings: { experiment } }) {
    const { lr_scheduler: schedule } = experiment.algorithm;
    if (schedule === "constant") return;
    yield { path: ["algorithm", "lr_scheduler"], found: `is ${schedule}` };
  },
});

export const validationTime = defineRule({
  id: "C-19",
  title: "validation trials have at least the time of training trials",
  severity: "warn",
  consequence: "unfinished validation trials are not scored: 170 of 500 were seen",
  remedy: "leave harbor_agent.val_max_timeout_sec out, or give at least as much",
  source: "docs/decisions.md#c-19",
  *check({ settings: { experiment }, plan: { sandboxes } }) {
    const { training, validation } = sandboxes.life;
    if (validation.agent >= training.agent) return;
    const { val_max_timeout_sec: cap } = experiment.harbor_agent;
    yield {
      path: ["harbor_agent", "val_max_timeout_sec"],
      found: `is ${cap} s, which gives the agent ${validation.agent} s, less than the ${training.agent} s of a training trial`,
    };
  },
});

export const importanceSampling = defineRule({
  id: "C-20",
  title: "importance sampling by token where responses are long",
  severity: "warn",
  consequence: "seen to leave an effective sample size of 0.06, so that the gradient starves",
  remedy: "set algorithm.rollout_is to token, or leave it out",
  source: "docs/decisions.md#c-20",
  *check({ settings: { experiment } }) {
    const { algorithm, training } = experiment;
    if (algorithm.rollout_is !== "sequence" || training.max_response_length <= longResponse) return;
    yield {
      path: ["algorithm", "rollout_is"],
      found: `is sequence with responses of up to ${training.max_response_length} tokens`,
    };
  },
});

export const temperatures = defineRule({
  id: "C-41",
  title: "agents sample at the rollout's temperature",
  severity: "warn",
  consequence: "log-probabilities are taken off the sampled distribution",
  remedy: "set harbor_agent.temperature to algorithm.temperature",
  source: "docs/decisions.md#c-41",
  *check({ settings: { experiment } }) {
    const { temperature: agent } = experiment.harbor_agent;
    const { temperature: rollout } = experiment.algorithm;
    if (agent === rollout) return;
    yield {
      path: ["harbor_agent", "temperature"],
      found: `is ${agent}, but algorithm.temperature is ${rollout}`,
    };
  },
});

export const clipRange = defineRule({
  id: "clip-range",
  title: "clip ratios of the loss's order of magnitude",
  severity: "warn",
  consequence: "sequence-level ratios are hardly ever clipped, token-level ones nearly always",
  remedy: "about 3e-4 and 4e-4 with gspo, about 0.2 with vanilla",
  source: "https://arxiv.org/abs/2507.18071",
  *check({ settings: { experiment } }) {
    const { policy_loss_mode: loss, clip_ratio_high: high } = experiment.algorithm;
    const path = ["algorithm", "clip_ratio_high"];
    if (loss === "gspo" && high > clipBoundary) {
      yield {
        path,
        found: `is ${high}, but ratios of whole sequences (policy_loss_mode gspo) hardly leave 1`,
        consequence: "no ratio would be clipped",
        remedy: "use about 4e-4",
      };
    }
    if (loss === "vanilla" && high < clipBoundary) {
      yield {
        path,
        found: `is ${high}, the order of a sequence-level loss, but policy_loss_mode vanilla clips single tokens`,
        consequence: "nearly all tokens would be clipped",
        remedy: "use about 0.2, and the same for clip_ratio_low",
      };
    }
  },
});

export const checkpoints = defineRule({
  id: "no-checkpoints",
  title: "a run that may be restarted saves checkpoints",
  severity: "warn",
  consequence: "every restart begins at step 0, and nothing outlives the stack",
  remedy: "training.save_freq of at least 1",
  source: "docs/decisions.md#checkpoints-outlive-the-stack",
  *check({ settings: { experiment } }) {
    const { training, trainer } = experiment;
    if (training.save_freq >= 1 || trainer.max_restarts === 0) return;
    yield {
      path: ["training", "save_freq"],
      found: `is ${training.save_freq}, so that no checkpoint is saved for the ${trainer.max_restarts} restarts of trainer.max_restarts`,
    };
  },
});

/** Reinforcement learning of language models uses 1e-7 to 1e-5; adapters take up to 1e-4. */
const highestLearningRate = 1e-4;

export const learningRateSize = defineRule({
  id: "learning-rate",
  title: "a learning rate of the size that reinforcement learning takes",
  severity: "warn",
  consequence: "the policy collapses within a few steps",
  remedy: "use about 1e-6",
  source: "https://arxiv.org/abs/2503.14476",
  *check({ settings: { experiment } }) {
    const { learning_rate: rate } = experiment.algorithm;
    if (rate <= highestLearningRate) return;
    yield { path: ["algorithm", "learning_rate"], found: `is ${rate}` };
  },
});

export const clipOrder = defineRule({
  id: "clip-order",
  title: "the lower clip is at most the upper",
  severity: "warn",
  consequence: "good trials are held back more than bad ones, and exploration dies out",
  remedy: "choose clip_ratio_high of at least clip_ratio_low",
  source: "https://arxiv.org/abs/2503.14476",
  *check({ settings: { experiment } }) {
    const { clip_ratio_low: low, clip_ratio_high: high } = experiment.algorithm;
    if (low <= high) return;
    yield {
      path: ["algorithm", "clip_ratio_low"],
      found: `is ${low}, more than clip_ratio_high ${high}`,
    };
  },
});

export const rewards = defineRule({
  id: "no-reward",
  title: "trials are verified",
  severity: "fatal",
  consequence: "no trial has a reward, every advantage is zero, and nothing is learnt",
  remedy: "set harbor_agent.verifier_enabled to true",
  source: "docs/decisions.md#runs-that-learn-nothing",
  *check({ settings: { experiment } }) {
    if (experiment.harbor_agent.verifier_enabled) return;
    yield { path: ["harbor_agent", "verifier_enabled"], found: "is false" };
  },
});

export const tools = defineRule({
  id: "no-tools",
  title: "the agent has tools",
  severity: "warn",
  consequence: "it cannot read or change a repository, and solves nothing",
  remedy: "set harbor_agent.disable_tool_calls to false",
  source: "docs/decisions.md#runs-that-learn-nothing",
  *check({ settings: { experiment } }) {
    if (!experiment.harbor_agent.disable_tool_calls) return;
    yield { path: ["harbor_agent", "disable_tool_calls"], found: "is true" };
  },
});

export const filteredTrials = defineRule({
  id: "trajectory-filter",
  title: "the filter leaves trials to learn from",
  severity: "fatal",
  consequence: "the trainer waits for trials that never come",
  remedy: "leave algorithm.trajectory_filter.drop_reasons out",
  source: "docs/decisions.md#runs-that-learn-nothing",
  *check({ settings: { experiment }, plan: { topology } }) {
    const { enable, drop_reasons: dropped } = experiment.algorithm.trajectory_filter;
    if (!enable || topology.mode === "sync" || experiment.verl.distribution === "stock") return;
    if (!dropped.includes("agent_completed")) return;
    yield {
      path: ["algorithm", "trajectory_filter", "drop_reasons"],
      found: "has agent_completed, so that every trial which the agent ends by itself is dropped",
    };
  },
});

/** Weight versions; the fork's recipes have 1, published ablations find up to 8 harmless. */
const mostStale = 8;

export const staleness = defineRule({
  id: "staleness",
  title: "trials of nearly the weights that they train",
  severity: "warn",
  consequence: "the importance ratios of most trials are clipped away",
  remedy: "choose 0 to 2",
  source: "https://arxiv.org/abs/2505.24298",
  *check({ plan: { asyncTraining } }) {
    if (!asyncTraining || asyncTraining.stalenessThreshold <= mostStale) return;
    yield {
      path: ["async_training", "staleness_threshold"],
      found: `is ${asyncTraining.stalenessThreshold}`,
    };
  },
});

/** Below it more trials are killed than end. */
const leastTail = 0.5;

export const tailKill = defineRule({
  id: "tail-kill",
  title: "most trials of a step end by themselves",
  severity: "warn",
  consequence: "the policy learns from its shortest trials alone",
  remedy: "choose at least 0.9, or leave it out",
  source: "docs/decisions.md#runs-that-learn-nothing",
  *check({ settings: { experiment } }) {
    const { tail_kill_target: target } = experiment.harbor_runtime;
    if (target >= leastTail) return;
    yield {
      path: ["harbor_runtime", "tail_kill_target"],
      found: `is ${target}, so that the slowest ${Math.round((1 - target) * 100)} % of a step are killed`,
    };
  },
});

export const rolloutPrecision = defineRule({
  id: "rollout-dtype",
  title: "rollout and trainer compute in the same precision",
  severity: "warn",
  consequence: "log-probabilities of rollout and trainer differ from the first step on",
  remedy: "leave vllm.dtype out: the trainer computes in bfloat16",
  source: "https://arxiv.org/abs/2510.26788",
  *check({ settings: { experiment } }) {
    const { dtype } = experiment.vllm;
    if (dtype === "bfloat16" || dtype === "auto") return;
    yield { path: ["vllm", "dtype"], found: `is ${dtype}` };
  },
});

export const validationSet = defineRule({
  id: "validation-set",
  title: "validation has tasks of its own",
  severity: "warn",
  consequence: "validation measures what was trained on, and overfitting looks like progress",
  remedy: "name another index",
  source: "docs/decisions.md#runs-that-learn-nothing",
  *check({ settings: { experiment } }) {
    const { train_index: train, val_index: validation } = experiment.data;
    if (train !== validation) return;
    yield { path: ["data", "val_index"], found: `is ${validation}, the training index itself` };
  },
});
