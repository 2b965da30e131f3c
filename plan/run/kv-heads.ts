import type { ModelFacts } from "../../config/schema/models.ts";

/**
 * Whether a server of so many GPUs can share out the KV heads (C-01). vLLM repeats each head where there are more GPUs;
 * the crash was seen with a plain model, while the documented tiers serve Qwen3.5, which mixes attention kinds, so.
 */
export function canShareKvHeads(
  facts: Pick<ModelFacts, "ulysses"> | undefined,
  kvHeads: number,
  gpus: number,
): boolean {
  return kvHeads % gpus === 0 || (facts?.ulysses === false && gpus % kvHeads === 0);
}
