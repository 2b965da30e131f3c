import { z } from "zod";

const facts = z.strictObject({
  kv_heads: z.int().min(1).describe("Key-value heads (`num_key_value_heads`)."),
  mixture_of_experts: z.boolean().describe("Whether the model has experts."),
  tool_call_parser: z
    .record(z.string(), z.string())
    .describe("vLLM's tool-call parser by scaffold."),
});

/** `config/models.yaml`: facts by the name of the checkpoint directory. */
export const models = z.record(z.string(), facts);

export type ModelFacts = z.output<typeof facts>;
export type Models = z.output<typeof models>;
