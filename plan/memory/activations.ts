/** What one layer has in GPU memory for each token, at the highest moment of its backward pass. */
import type { Architecture } from "../../config/schema/models.ts";
import { fullAttentionLayers, linearSizes } from "../../config/schema/parameters.ts";

/**
 * Bytes a token. The highest moment is inside the MLP's backward pass: all that the layer keeps is still there, and the
 * MLP's gradients are too. An attention's own gradients come when the MLP's part is gone, and are less.
 * Elements have 2 bytes, those that a norm widens 4. Read in transformers 5.17 and fla-core 0.6 and compared with
 * PyTorch's record of allocations for each kind of layer: within 0.5 %.
 */
export function layerBytesPerToken(model: Architecture): number {
  const hasLinear = fullAttentionLayers(model) < model.layers;
  const attention = Math.max(attentionBytes(model), hasLinear ? linearAttentionBytes(model) : 0);
  const norms = 2 * (normBytes(model) + 2);
  const gradient = 2;
  return (norms + gradient) * model.hidden_size + attention + mlpBytes(model);
}

/** A norm keeps its input widened, 4, and what it scales: hybrid families scale before they narrow it, 4, others after, 2. */
function normBytes(model: Architecture): number {
  return model.linear_attention ? 8 : 6;
}

/** Query and key: normed, and rotated 2. Value 2, output 2; with a gate the output in another layout, gate, product: 6. */
function attentionBytes(model: Architecture): number {
  const queries = model.heads * model.head_dim;
  const keys = model.kv_heads * model.head_dim;
  const gate = model.gated_attention ? 6 * queries : 0;
  return (normBytes(model) + 4) * (queries + keys) + gate;
}

/**
 * Gated DeltaNet: before and after PyTorch's convolution 4 (causal-conv1d's keeps only what is before). For each value
 * head: query and key repeated and normed 4, value 2, a matrix of a chunk of 64 tokens. The gated norm: its input
 * widened 4, normed 2, scaled 2, gate widened 4, activated 4, product 2. The states between chunks are made anew.
 */
function linearAttentionBytes({ linear_attention: linear }: Architecture): number {
  if (!linear) return 0;
  const { keys, values } = linearSizes(linear);
  const chunk = 64;
  const kernel = linear.value_heads * (4 * linear.key_head_dim + 2 * chunk) + 2 * values;
  return 4 * (2 * keys + values) + kernel + 18 * values;
}

/**
 * Gate, up and the activated gate, and their gradients: 12. Experts' rows: input, output and three gradients, 10 hidden;
 * gate and up, activation, product: 8. A shared expert also has two gradients as large as the layer's output.
 */
function mlpBytes({ hidden_size: hidden, intermediate_size, experts }: Architecture): number {
  if (!experts) return 12 * intermediate_size;
  const { per_token: rows, shared_intermediate_size: shared } = experts;
  return (
    rows * (10 * hidden + 8 * experts.intermediate_size) +
    (shared > 0 ? 8 * shared + 4 * hidden : 0)
  );
}
