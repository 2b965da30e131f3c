/** Rules about the sizes of a training step and of a window. */
import { defineRule, noPlan } from "./rule.ts";

const validateConfig = "https://github.com/volcengine/verl/blob/v0.8.0/verl/utils/config.py";

export const window = defineRule({
  id: "C-24",
  title: "prompt plus response fit the rollout servers' window",
  severity: "fatal",
  consequence: "requests are refused at the context limit",
  remedy: "raise vllm.max_model_length, or shorten the window",
  source: "docs/decisions.md#c-24",
  *check({ plan: { batches } }) {
    const { promptTokens, responseTokens, windowTokens, modelLength } = batches;
    if (windowTokens <= modelLength) return;
    yield {
      path: ["vllm", "max_model_length"],
      found: `is ${modelLength}, less than prompt ${promptTokens} + response ${responseTokens} = ${windowTokens}`,
    };
  },
});

export const modelWindow = defineRule({
  id: "model-window",
  title: "the rollout servers' window is at most the model's own",
  severity: "fatal",
  consequence: "verl refuses to start its servers, and so does vLLM",
  remedy: "shorten the window; config/models.yaml has the model's max_position_embeddings",
  source:
    "https://github.com/volcengine/verl/blob/v0.8.0/verl/workers/rollout/vllm_rollout/vllm_async_server.py",
  *check({ settings: { modelFacts }, plan: { batches } }) {
    const longest = modelFacts?.max_position_embeddings;
    const { modelLength } = batches;
    if (longest === undefined) {
      const missing = modelFacts
        ? "has no max_position_embeddings in config/models.yaml"
        : "is not in config/models.yaml";
      yield {
        severity: "unknown",
        path: ["model", "model_path"],
        found: `${missing}, so it is unknown whether it takes a window of ${modelLength} tokens`,
        remedy: "look up max_position_embeddings in its config.json and add it there",
      };
    } else if (modelLength > longest) {
      const scaled = modelFacts?.scaled_window ?? 0;
      yield {
        path: ["vllm", "max_model_length"],
        found: `is ${modelLength}, more than the ${longest} tokens that the model was trained for`,
        ...(modelLength <= scaled
          ? {
              consequence: `verl refuses to start its servers: it compares with max_position_embeddings alone, although YaRN gives ${scaled}`,
              remedy: `set max_position_embeddings to ${scaled} in the checkpoint's config.json, as the model's card says`,
            }
          : {}),
      };
    }
  },
});

export const miniBatch = defineRule({
  id: "mini-batch",
  title: "a synchronous step is a whole number of mini-batches",
  severity: "fatal",
  consequence: "the first update fails, after the trials of a whole step",
  remedy: "choose a divisor of training.train_batch_size",
  source: "https://github.com/volcengine/verl/blob/v0.8.0/verl/utils/tensordict_utils.py",
  *check({ plan: { batches, topology } }) {
    const { prompts, miniBatchPrompts } = batches;
    // The asynchronous trainer takes whole mini-batches from its queue, whatever train_batch_size says.
    if (topology.mode === "async" || prompts % miniBatchPrompts === 0) return;
    yield {
      path: ["training", "train_prompt_mini_batch_size"],
      found: `is ${miniBatchPrompts}, which does not divide train_batch_size ${prompts}`,
      remedy: `choose a divisor of ${prompts}`,
    };
  },
});

export const batchGpus = defineRule({
  id: "batch-gpus",
  title: "without dynamic batches, the ranks divide the trials of a synchronous step",
  severity: "fatal",
  consequence: "verl refuses it at start",
  remedy: "choose a multiple, or set training.use_dynamic_bsz",
  source: validateConfig,
  *check({ settings: { experiment }, plan: { batches, engine, topology } }) {
    // The asynchronous trainer never calls validate_config.
    if (topology.mode === "async" || experiment.training.use_dynamic_bsz) return;
    const { prompts, trialsPerPrompt, trialsPerStep } = batches;
    const ranks =
      engine.name === "megatron"
        ? { count: engine.dataParallel, what: "data-parallel ranks" }
        : { count: topology.trainerGpus, what: "trainer GPUs" };
    if (!Number.isInteger(ranks.count) || trialsPerStep % ranks.count === 0) return;
    yield {
      path: ["training", "train_batch_size"],
      found: `gives ${prompts} × ${trialsPerPrompt} = ${trialsPerStep} trials a step, which the ${ranks.count} ${ranks.what} do not divide, and use_dynamic_bsz is false`,
    };
  },
});

export const batchWorkers = defineRule({
  id: "batch-workers",
  title: "the agent-loop workers divide the trials of a synchronous step",
  severity: "fatal",
  consequence: "verl hands every agent-loop worker an equal share and refuses a remainder",
  remedy: "choose a divisor",
  source: "https://github.com/volcengine/verl/tree/v0.8.0/verl/experimental/agent_loop",
  *check({ settings: { experiment }, plan: { batches, topology } }) {
    const { num_workers: workers } = experiment.harbor_runtime;
    // Asynchronous training hands out prompt by prompt.
    if (topology.mode === "async" || batches.trialsPerStep % workers === 0) return;
    yield {
      path: ["harbor_runtime", "num_workers"],
      found: `is ${workers}, which does not divide the ${batches.trialsPerStep} trials of a step`,
    };
  },
});

export const miniBatchRanks = defineRule({
  id: "mini-batch-ranks",
  title: "the data-parallel ranks divide the trials of an update",
  severity: "fatal",
  consequence: "the first update fails, after the trials of a whole step",
  remedy: "choose a multiple",
  source: "https://github.com/volcengine/verl/blob/v0.8.0/verl/workers/engine_workers.py",
  *check({ plan: { batches, engine } }) {
    const { miniBatchPrompts: mini, trialsPerPrompt } = batches;
    const { dataParallel } = engine;
    if (!Number.isInteger(dataParallel) || (mini * trialsPerPrompt) % dataParallel === 0) return;
    yield {
      path: ["training", "train_prompt_mini_batch_size"],
      found: `gives ${mini} × ${trialsPerPrompt} = ${mini * trialsPerPrompt} trials an update, which the ${dataParallel} data-parallel ranks do not divide`,
    };
  },
});

export const groupSize = defineRule({
  id: "grpo-group",
  title: "GRPO has more than one trial of a prompt",
  severity: "fatal",
  consequence: "with one trial every advantage is zero",
  remedy: "choose at least 2",
  source: "https://arxiv.org/abs/2402.03300",
  *check({ settings: { experiment }, plan: { batches } }) {
    const { trialsPerPrompt } = batches;
    if (experiment.algorithm.adv_estimator !== "grpo" || trialsPerPrompt >= 2) return;
    yield {
      path: ["training", "n_resp_per_prompt"],
      found: `is ${trialsPerPrompt}, but GRPO compares the trials of one prompt with each other`,
    };
  },
});

export const syncStep = defineRule({
  id: "sync-step",
  title: "a whole number of trainer steps between weight syncs",
  severity: "fatal",
  consequence: "the asynchronous trainer needs a whole number and refuses to start",
  remedy: "choose sizes that divide, or set async_training.trigger_parameter_sync_step",
  source: "docs/decisions.md#d-29",
  unwaivable: noPlan,
  *check({ plan: { asyncTraining, batches } }) {
    if (!asyncTraining) return;
    const { parameterSyncSteps: steps, requiredSamples } = asyncTraining;
    if (Number.isInteger(steps) && steps >= 1) return;
    const { prompts } = batches;
    yield {
      path: ["async_training", "require_batches"],
      found: `is ${asyncTraining.requireBatches}, so that the trainer takes ${requiredSamples} prompts at once, which do not divide train_batch_size ${prompts}`,
    };
  },
});
