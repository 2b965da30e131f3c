/** GPU memory of a model in training, sharded by FSDP. Sources and measurements: docs/memory.md. */
import type { Architecture } from "../../config/schema/models.ts";
import { layerBytesPerToken } from "./activations.ts";
import { highest, type Peak, peak } from "./parts.ts";
import { parametersOf } from "../../config/schema/parameters.ts";

export interface TrainingSetup {
  readonly model: Architecture;
  /** Tokens of one micro-batch on one GPU. */
  readonly tokens: number;
  /** Parameters that are trained; the others only compute. Default: all. */
  readonly trainable?: number | undefined;
  /** GPUs over which parameters, gradients and optimizer state are sharded. */
  readonly shards: number;
  /** `flat`: FSDP's first version, where embedding and head are one unit. */
  readonly sharding: "flat" | "by parameter";
  /** Tensors as large as the logits at once, where the loss goes backward; 0: fused kernels never make them. */
  readonly logitsCopies: number;
  readonly checkpointing: boolean;
  /** verl moves the inputs of the layers to host memory until their backward pass. */
  readonly offloadsActivations: boolean;
  /** A critic has one value a token instead of logits. */
  readonly hasHead: boolean;
}

const bf16 = 2;
const fp32 = 4;
/** AdamW: two moments in fp32. */
const adam = 2 * fp32;

/** The highest moment of an update in steady state, when the optimizer has its state and gradients accumulate. */
export function trainingPeak(setup: TrainingSetup): Peak {
  return highest([lossPeak(setup), layerPeak(setup), optimizerPeak(setup)]);
}

/** What lies in GPU memory all through an update: fp32 weights, gradients and moments of one shard. */
function shardOf({ model, shards, trainable }: TrainingSetup) {
  const { total } = parametersOf(model);
  const trained = (trainable ?? total) / shards;
  return { weights: (total / shards) * fp32, gradients: trained * fp32, optimizer: trained * adam };
}

/** What stays between uses, unless it is offloaded: gradients are gone. */
export function restingParts(setup: TrainingSetup) {
  const { weights, optimizer } = shardOf(setup);
  return { weights, optimizer };
}

/** Weights that are gathered whole, beside the shard, while the head computes. */
function gatheredHead({ model, sharding, hasHead }: TrainingSetup): number {
  const { embedding, head } = parametersOf(model);
  const whole = hasHead ? head || embedding : 0;
  return (sharding === "flat" && head > 0 ? embedding + whole : whole) * bf16;
}

/**
 * The loss goes backward: the logits (their gradient takes their place), the head's weights and gradient gathered, the
 * last norm, the input of every layer, and the last layer fetched ahead. More copies of the logits are gone when the
 * head's gradient comes.
 */
export function lossPeak(setup: TrainingSetup): Peak {
  const { model, tokens, logitsCopies } = setup;
  const { embedding, head, layer } = parametersOf(model);
  const shard = shardOf(setup);
  const logits = setup.hasHead ? tokens * model.vocab_size * bf16 : 0;
  const row = setup.hasHead ? Math.max(logitsCopies, 0) : 0;
  const gathered = gatheredHead(setup);
  const isFrozen = setup.trainable !== undefined;
  const headGradient = row > 2 || !setup.hasHead || isFrozen ? 0 : (head || embedding) * bf16;
  const fused = logitsCopies === 0 && setup.hasHead ? fusedRows * model.vocab_size * 3 * fp32 : 0;
  return peak("loss", {
    ...shard,
    weights: shard.weights + gathered + layer * bf16,
    gradients: shard.gradients + headGradient,
    activations: keptInputs(setup) + 10 * model.hidden_size * tokens,
    logits: logits * row + fused,
  });
}

/** Rows of logits that a fused kernel makes at a time. */
const fusedRows = 512;

/** A layer goes backward: what it keeps for each token, its weights and the next one's, its gradient to be reduced. */
export function layerPeak(setup: TrainingSetup): Peak {
  const { model, tokens } = setup;
  const { layer, embedding, head } = parametersOf(model);
  const shard = shardOf(setup);
  const root = setup.sharding === "flat" ? (embedding + head) * bf16 : 0;
  return peak("layer", {
    ...shard,
    weights: shard.weights + 2 * layer * bf16 + root,
    gradients: shard.gradients + (setup.trainable === undefined ? layer * bf16 + root : 0),
    activations: keptInputs(setup) + (setup.checkpointing ? layerBytesPerToken(model) * tokens : 0),
  });
}

/** The optimizer's step makes one more tensor as large as the shard. */
export function optimizerPeak(setup: TrainingSetup): Peak {
  const shard = shardOf(setup);
  return peak("optimizer step", { ...shard, optimizer: shard.optimizer + shard.gradients });
}

/**
 * With checkpointing only the input of every layer, else all that the layers keep. Offloaded, two layers' are on the
 * GPU at most: one computes while the other's are copied (verl/utils/activation_offload.py of 0.8.0 and 0.9.1).
 */
function keptInputs({ model, tokens, checkpointing, offloadsActivations }: TrainingSetup): number {
  const each = checkpointing ? model.hidden_size * bf16 : layerBytesPerToken(model);
  return (offloadsActivations ? Math.min(model.layers, 2) : model.layers) * each * tokens;
}

/**
 * Log-probabilities without gradients, of the reference, whose parameters come from host memory layer by layer. The
 * highest moment is the head's, whose logits come when the last layer's work is gone, or a layer's.
 */
export function scoringPeak(setup: TrainingSetup, phase: string, resident: number): Peak {
  const { model, tokens } = setup;
  const { layer } = parametersOf(model);
  const copies = setup.logitsCopies === 0 ? 0 : Math.min(setup.logitsCopies, 2);
  // Measured: without gradients a layer has a third at once of what it has in its backward pass.
  const working = layerBytesPerToken(model) / 3;
  const weights = resident + gatheredHead(setup) + 2 * layer * bf16;
  const around = 10 * model.hidden_size;
  return highest([
    peak(phase, {
      weights,
      activations: around * tokens,
      logits: copies * tokens * model.vocab_size * bf16,
    }),
    peak(phase, { weights, activations: (working + around) * tokens }),
  ]);
}

/**
 * Host memory for what one GPU offloads: one tensor a layer, but for the last, which is needed at once. It is pinned,
 * and PyTorch's allocator of pinned memory gives out powers of two (ATen/core/CachingHostAllocator.h of 2.11).
 */
export function offloadedInputBytes({ model, tokens, offloadsActivations }: TrainingSetup): number {
  if (!offloadsActivations) return 0;
  const each = model.hidden_size * bf16 * tokens;
  return (model.layers - 1) * 2 ** Math.ceil(Math.log2(each));
}
