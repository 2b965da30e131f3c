import type { Basis } from "../host.ts";
import type { Engine } from "./engine.ts";

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
  /** Window that an agent is told: what goes beyond it is of no use to training. */
  readonly agentWindow: number;
  /** Most tokens that one model call of an agent may sample. */
  readonly callTokens: number;
  /** Tokens that one GPU packs into a micro-batch: the window, shared by the sequence-parallel group. */
  readonly tokensPerGpu: number;
}

/** The smoke batch. */
const smoke = { prompts: 8, trialsPerPrompt: 4, miniBatchPrompts: 8 } as const;

export function planBatches(settings: Basis, parts: { engine: Engine }): Batches {
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
  const modelLength = vllm.max_model_length ?? windowTokens;
  const agentWindow = Math.min(modelLength, windowTokens);
  return {
    ...sizes,
    trialsPerStep: sizes.prompts * sizes.trialsPerPrompt,
    promptTokens: training.max_prompt_length,
    responseTokens: training.max_response_length,
    windowTokens,
    modelLength,
    agentWindow,
    callTokens: Math.min(
      experiment.harbor_agent.max_call_tokens,
      Math.max(1, Math.floor(agentWindow / 4)),
      training.max_response_length,
    ),
    tokensPerGpu: Math.ceil(windowTokens / parts.engine.sequenceParallel),
  };
}
