import type { Settings } from "../load.ts";
import type { Problems } from "./problems.ts";
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

export function planBatches(settings: Settings, topology: Topology, problems: Problems): Batches {
  const { training, vllm, algorithm, harbor_runtime: runtime } = settings.experiment;
  const prompts = training.train_batch_size;
  const trialsPerPrompt = training.n_resp_per_prompt;
  const trialsPerStep = prompts * trialsPerPrompt;
  const mini = training.train_prompt_mini_batch_size;
  const windowTokens = training.max_prompt_length + training.max_response_length;

  if (windowTokens > vllm.max_model_length) {
    problems.error(
      ["vllm", "max_model_length"],
      `is ${vllm.max_model_length}, less than prompt ${training.max_prompt_length} + response ${training.max_response_length} = ${windowTokens}: requests would be refused at the context limit (C-24). Raise it, or shorten the window.`,
    );
  }
  if (mini > prompts) {
    problems.error(
      ["training", "train_prompt_mini_batch_size"],
      `is ${mini}, more than train_batch_size ${prompts}: verl refuses it at start. Choose at most ${prompts}.`,
    );
  }
  problems.divides(
    ["training", "train_batch_size"],
    [topology.trainerGpus, trialsPerStep],
    `gives ${prompts} × ${trialsPerPrompt} = ${trialsPerStep} trials a step, which the ${topology.trainerGpus} trainer GPUs do not divide: verl refuses it at start. Choose a multiple.`,
  );
  problems.divides(
    ["harbor_runtime", "num_workers"],
    [runtime.num_workers, trialsPerStep],
    `is ${runtime.num_workers}, which does not divide the ${trialsPerStep} trials of a step: verl hands every agent-loop worker an equal share and refuses a remainder. Choose a divisor.`,
  );
  const dataParallel = topology.trainerGpus / topology.sequenceParallel;
  if (Number.isInteger(dataParallel)) {
    problems.divides(
      ["training", "train_prompt_mini_batch_size"],
      [dataParallel, mini * trialsPerPrompt],
      `gives ${mini} × ${trialsPerPrompt} = ${mini * trialsPerPrompt} trials an update, which the ${dataParallel} data-parallel ranks (GPUs / sp_size) do not divide. Choose a multiple.`,
    );
  }
  if (algorithm.adv_estimator === "grpo" && trialsPerPrompt < 2) {
    problems.error(
      ["training", "n_resp_per_prompt"],
      `is ${trialsPerPrompt}, but GRPO compares the trials of one prompt with each other: with one trial every advantage is zero. Choose at least 2.`,
    );
  }
  return {
    prompts,
    trialsPerPrompt,
    trialsPerStep,
    miniBatchPrompts: mini,
    promptTokens: training.max_prompt_length,
    responseTokens: training.max_response_length,
    windowTokens,
    modelLength: vllm.max_model_length,
    tokensPerGpu: Math.ceil(windowTokens / topology.sequenceParallel),
  };
}
