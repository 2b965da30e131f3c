/** Bytes that one layer keeps for one token between its forward and its backward pass. */
import type { Architecture } from "../../schema/models.ts";
import { fullAttentionLayers, linearSizes } from "./parameters.ts";

/**
 * Tensors in bfloat16 have 2 bytes an element, the norms' inputs are widened to 4. In units of the hidden size: two
 * norms of 8, two residual sums of 2, the gradient that comes in and its copy 4.
 */
export function layerBytesPerToken(model: Architecture): number {
  const { hidden_size: hidden } = model;
  const hasLinear = fullAttentionLayers(model) < model.layers;
  const attention = Math.max(attentionBytes(model), hasLinear ? linearAttentionBytes(model) : 0);
  return 24 * hidden + attention + mlpBytes(model);
}

/** Query and key: projected 2, widened 4, normed 2, rotated 2. Value 2, output 2, and with a gate three more of 2. */
function attentionBytes(model: Architecture): number {
  const queries = model.heads * model.head_dim;
  const keys = model.kv_heads * model.head_dim;
  const gate = model.gated_attention ? 6 * queries : 0;
  return 10 * (queries + keys) + 2 * keys + 2 * queries + gate;
}

/**
 * Gated DeltaNet: before and after the convolution 4; then over the value heads: query and key repeated 4, normed 4,
 * output gate 2, value 2, output and its norm 8. The states between chunks of 64 tokens: forward and backward, 4.
 */
function linearAttentionBytes({ linear_attention: linear }: Architecture): number {
  if (!linear) return 0;
  const { keys, values } = linearSizes(linear);
  const states = linear.value_heads * linear.key_head_dim * linear.value_head_dim;
  return 4 * (2 * keys + values) + 20 * values + (4 * states) / 64;
}

/** Gate, up, activation and product: 8. An expert's row also has its input, output and their gradients: 9 hidden. */
function mlpBytes({ hidden_size: hidden, intermediate_size, experts }: Architecture): number {
  if (!experts) return 8 * intermediate_size;
  return (
    experts.per_token * (9 * hidden + 8 * experts.intermediate_size) +
    8 * experts.shared_intermediate_size
  );
}
