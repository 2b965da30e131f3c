import type { Settings } from "../../config/load/load.ts";
import type { Engine } from "./engine.ts";
import type { Problems } from "../problems.ts";
import type { Topology } from "./topology.ts";

/** Sizes of one training step. */
export interface Batches {
  readonly prompts: number;
  readonly trialsPerPrompt: number;
  /** Prompts × trials per prompt. */
  readonly trialsPerStep: number;
  readonly miniBatchPrompts: number;
  readonly promptTokens: number;
  readonly responseTokens: number;
  /** Prompt plus response. */
  readonly windowTokens: number;
  /** Window of the rollout servers. */
  readonly modelLength: number;
  /** Tokens that one GPU packs into a micro-batch: the window, shared by the sequence-parallel group. */
  readonly tokensPerGpu: number;
}

/** The smoke batch (domain 9.4). */
const smoke = { prompts: 8, trialsPerPrompt: 4, miniBatchPrompts: 8 } as const;

export function planBatches(
  settings: Settings,
  parts: { topology: Topology; engine: Engine },
  problems: Problems,
): Batches {
  const { experiment } = settings;
  const { training, vllm } = experiment;
  const windowTokens = training.max_prompt_length + training.max_response_length;
  const sizes = experiment.smoke
    ? smoke
    : {
        prompts: training.train_batch_size,
        trialsPerPrompt: training.n_resp_per_prompt,
        miniBatchPrompts: training.train_prompt_mini_batch_size,
      };
  const batches = {
    ...sizes,
    trialsPerStep: sizes.prompts * sizes.trialsPerPrompt,
    promptTokens: training.max_prompt_length,
    responseTokens: training.max_response_length,
    windowTokens,
    modelLength: vllm.max_model_length ?? windowTokens,
    tokensPerGpu: Math.ceil(windowTokens / parts.engine.sequenceParallel),
  };
  checkWindow(batches, problems);
  checkModelWindow(settings, batches, problems);
  checkTrials(settings, { ...parts, batches }, problems);
  return batches;
}

function checkWindow(batches: Batches, problems: Problems): void {
  const { promptTokens, responseTokens, windowTokens, modelLength } = batches;
  if (windowTokens > modelLength) {
    problems.error(
      "C-24",
      ["vllm", "max_model_length"],
      `is ${modelLength}, less than prompt ${promptTokens} + response ${responseTokens} = ${windowTokens}: requests would be refused at the context limit. Raise it, or shorten the window.`,
    );
  }
}

function checkModelWindow(
  { modelFacts }: Settings,
  { modelLength }: Batches,
  problems: Problems,
): void {
  const longest = modelFacts?.max_position_embeddings;
  if (longest === undefined) {
    const missing = modelFacts
      ? "has no max_position_embeddings in config/models.yaml"
      : "is not in config/models.yaml";
    problems.unknown(
      "model-window",
      ["model", "model_path"],
      `${missing}, so it is unknown whether it takes a window of ${modelLength} tokens. Look up max_position_embeddings in its config.json and add it there.`,
    );
  } else if (modelLength > longest) {
    problems.error(
      "model-window",
      ["vllm", "max_model_length"],
      `is ${modelLength}, more than the ${longest} tokens that the model was trained for (config/models.yaml): vLLM refuses to start. Shorten the window.`,
    );
  }
}

function checkTrials(
  { experiment }: Settings,
  parts: { topology: Topology; engine: Engine; batches: Batches },
  problems: Problems,
): void {
  const { topology, engine, batches } = parts;
  const { prompts, trialsPerPrompt, trialsPerStep, miniBatchPrompts: mini } = batches;
  const { num_workers: workers } = experiment.harbor_runtime;
  if (mini > prompts) {
    problems.error(
      "mini-batch",
      ["training", "train_prompt_mini_batch_size"],
      `is ${mini}, more than train_batch_size ${prompts}: verl refuses it at start. Choose at most ${prompts}.`,
    );
  }
  problems.divides(
    "batch-gpus",
    { path: ["training", "train_batch_size"], divisor: topology.trainerGpus, value: trialsPerStep },
    `gives ${prompts} × ${trialsPerPrompt} = ${trialsPerStep} trials a step, which the ${topology.trainerGpus} trainer GPUs do not divide: verl refuses it at start. Choose a multiple.`,
  );
  // Asynchronous training hands out prompt by prompt.
  if (topology.mode === "sync") {
    problems.divides(
      "batch-workers",
      { path: ["harbor_runtime", "num_workers"], divisor: workers, value: trialsPerStep },
      `is ${workers}, which does not divide the ${trialsPerStep} trials of a step: verl hands every agent-loop worker an equal share and refuses a remainder. Choose a divisor.`,
    );
  }
  if (Number.isInteger(engine.dataParallel)) {
    problems.divides(
      "mini-batch-ranks",
      {
        path: ["training", "train_prompt_mini_batch_size"],
        divisor: engine.dataParallel,
        value: mini * trialsPerPrompt,
      },
      `gives ${mini} × ${trialsPerPrompt} = ${mini * trialsPerPrompt} trials an update, which the ${engine.dataParallel} data-parallel ranks do not divide. Choose a multiple.`,
    );
  }
  if (experiment.algorithm.adv_estimator === "grpo" && trialsPerPrompt < 2) {
    problems.error(
      "grpo-group",
      ["training", "n_resp_per_prompt"],
      `is ${trialsPerPrompt}, but GRPO compares the trials of one prompt with each other: with one trial every advantage is zero. Choose at least 2.`,
    );
  }
}
