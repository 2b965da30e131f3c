/** GPU memory of a vLLM server, by the share that it may take. */
import type { Architecture } from "../../config/schema/models.ts";
import { fullAttentionLayers, linearSizes, parametersOf } from "../../config/schema/parameters.ts";
import { contextBytes, type Peak, peak } from "./parts.ts";

export interface RolloutSetup {
  readonly model: Architecture;
  readonly tensorParallel: number;
  /** Bytes of an element of the weights and of the KV cache. */
  readonly elementBytes: number;
  /** Of the GPU. */
  readonly capacity: number;
  /** Share of it that vLLM may take. */
  readonly utilization: number;
  readonly sequences: number;
  /** Longest sequence in tokens. */
  readonly window: number;
  readonly graphs: boolean;
}

export interface RolloutMemory {
  readonly peak: Peak;
  /** Tokens that the KV cache of one server holds; negative where not even the weights fit. */
  readonly kvTokens: number;
  /** Sequences of the full window that it holds at once. */
  readonly fullSequences: number;
}

/** Tokens of one forward pass; vLLM's default for servers. */
const batchedTokens = 8192;
/** Captured graphs lie outside the share that vLLM keeps to. An assumption. */
export const graphBytes = 2e9;

export function rolloutMemory(setup: RolloutSetup): RolloutMemory {
  const { model, tensorParallel: parts, elementBytes, capacity, utilization, window } = setup;
  const weights = (parametersOf(model).total * elementBytes) / parts;
  const activations = activationBytes(setup);
  const states = (stateBytes(model) * setup.sequences) / parts;
  const cache = capacity * utilization - weights - activations - states - contextBytes;
  const kvTokens = Math.floor(cache / kvBytesPerToken(setup));
  return {
    peak: peak("serving", {
      weights,
      activations,
      "KV cache": Math.max(0, cache) + states,
      "CUDA graphs": setup.graphs ? graphBytes : 0,
      headroom: contextBytes,
    }),
    kvTokens,
    fullSequences: Math.max(0, Math.floor(kvTokens / window)),
  };
}

/** On one GPU: KV heads are shared out, and repeated where there are fewer than GPUs. */
export function kvBytesPerToken(
  setup: Pick<RolloutSetup, "model" | "tensorParallel" | "elementBytes">,
) {
  const { model, tensorParallel, elementBytes } = setup;
  const heads = Math.ceil(model.kv_heads / tensorParallel);
  return 2 * fullAttentionLayers(model) * heads * model.head_dim * elementBytes;
}

/** A forward pass over a full batch, and the logits and probabilities of the sampler in fp32. */
function activationBytes({ model, sequences }: RolloutSetup): number {
  const { hidden_size: hidden, experts, intermediate_size, vocab_size } = model;
  const mlp = experts
    ? experts.per_token * (4 * hidden + 6 * experts.intermediate_size)
    : 6 * intermediate_size;
  return batchedTokens * (8 * hidden + mlp) + sequences * vocab_size * 12;
}

/** The state of one sequence in layers of linear attention, in fp32, with its convolution's. */
function stateBytes(model: Architecture): number {
  const { linear_attention: linear } = model;
  if (!linear) return 0;
  const { keys, values } = linearSizes(linear);
  const recurrent = linear.value_heads * linear.key_head_dim * linear.value_head_dim;
  const layers = model.layers - fullAttentionLayers(model);
  return layers * (4 * recurrent + 2 * (2 * keys + values) * (linear.conv_kernel - 1));
}
