/** Parameters of a decoder, by where they lie. */
import type { Architecture } from "./models.ts";

export interface Parameters {
  readonly embedding: number;
  /** The output projection; 0 where it is the embedding. */
  readonly head: number;
  /** The largest layer. */
  readonly layer: number;
  readonly total: number;
}

export function parametersOf(model: Architecture): Parameters {
  const { hidden_size: hidden, layers, vocab_size: vocabulary } = model;
  const full = fullAttentionLayers(model);
  const rest = mlpParameters(model) + 2 * hidden;
  const [attention, linear] = [attentionParameters(model), linearAttentionParameters(model)];
  const embedding = vocabulary * hidden;
  const head = model.tied_embeddings ? 0 : embedding;
  const decoder = full * attention + (layers - full) * linear + layers * rest;
  return {
    embedding,
    head,
    layer: Math.max(attention, full < layers ? linear : 0) + rest,
    total: decoder + embedding + head + hidden + model.other_parameters,
  };
}

/** Layers with a KV cache. */
export function fullAttentionLayers(model: Architecture): number {
  return Math.min(model.full_attention_layers ?? model.layers, model.layers);
}

function attentionParameters(model: Architecture): number {
  const { hidden_size: hidden, heads, kv_heads: kvHeads, head_dim: dim } = model;
  const queries = heads * dim * (model.gated_attention ? 2 : 1);
  return hidden * (queries + 2 * kvHeads * dim + heads * dim) + 2 * dim;
}

/** Gated DeltaNet: projections of query, key, value, output gate, two scalars a head; a short convolution. */
function linearAttentionParameters({ hidden_size: hidden, linear_attention: l }: Architecture) {
  if (!l) return 0;
  const { keys, values } = linearSizes(l);
  return (
    hidden * (2 * keys + 3 * values + 2 * l.value_heads) +
    (2 * keys + values) * l.conv_kernel +
    2 * l.value_heads +
    l.value_head_dim
  );
}

export function linearSizes(linear: NonNullable<Architecture["linear_attention"]>) {
  return {
    keys: linear.key_heads * linear.key_head_dim,
    values: linear.value_heads * linear.value_head_dim,
  };
}

function mlpParameters({ hidden_size: hidden, intermediate_size, experts }: Architecture): number {
  if (!experts) return 3 * hidden * intermediate_size;
  const shared = experts.shared_intermediate_size;
  return (
    3 * hidden * (experts.count * experts.intermediate_size + shared) +
    hidden * (experts.count + (shared > 0 ? 1 : 0))
  );
}
