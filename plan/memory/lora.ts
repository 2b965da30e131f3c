/** What a run trains that trains adapters. Derived from verl 0.9.1's FSDP engine and PEFT, not measured. */
import type { Experiment } from "../../config/schema/experiment.ts";
import type { Architecture } from "../../config/schema/models.ts";
import { fullAttentionLayers, linearSizes } from "../../config/schema/parameters.ts";

/** Keys of an adapter's rank; the engine fsdp reads the first alone. */
export const loraRankKeys = [
  "actor_rollout_ref.model.lora_rank",
  "actor_rollout_ref.model.lora.rank",
] as const;

/** Parameters of the adapters that the engine fsdp trains; undefined: it trains the whole model. */
export function adaptersOf({ verl }: Experiment, model: Architecture): number | undefined {
  const [key] = loraRankKeys;
  const rank = Number(verl.overrides[key] ?? 0);
  return verl.engine === "fsdp" && rank > 0 ? adapterParameters(model, rank) : undefined;
}

/**
 * Parameters of adapters on every linear layer, verl's default: rank × (inputs + outputs) each. Experts are no linear
 * layers in transformers 5, but tensors of three dimensions, which PEFT leaves out.
 */
function adapterParameters(model: Architecture, rank: number): number {
  const { hidden_size: hidden, layers } = model;
  const full = fullAttentionLayers(model);
  const sides = full * attentionSides(model) + (layers - full) * linearSides(model);
  const intermediate = model.experts?.shared_intermediate_size ?? model.intermediate_size;
  return rank * (sides + layers * (intermediate > 0 ? 3 * (hidden + intermediate) : 0));
}

function attentionSides(model: Architecture): number {
  const { hidden_size: hidden, heads, kv_heads: kvHeads, head_dim: dim } = model;
  const queries = heads * dim * (model.gated_attention ? 2 : 1);
  return hidden + queries + 2 * (hidden + kvHeads * dim) + heads * dim + hidden;
}

/** Query, key and value together; the gate; two scalars a head; the output. */
function linearSides({ hidden_size: hidden, linear_attention: linear }: Architecture): number {
  if (!linear) return 0;
  const { keys, values } = linearSizes(linear);
  const inputs = 4 * hidden + 2 * keys + 2 * values + 2 * linear.value_heads;
  return inputs + values + hidden;
}
