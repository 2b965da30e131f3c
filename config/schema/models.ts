import { z } from "zod";
import { scaffolds } from "./harbor.ts";

const facts = z.strictObject({
  kv_heads: z
    .int()
    .min(1)
    .optional()
    .describe("Key-value heads (`num_key_value_heads`). Omitted: unknown."),
  max_position_embeddings: z
    .int()
    .min(1)
    .optional()
    .describe(
      "Longest window of the model in tokens (`max_position_embeddings`). Omitted: unknown.",
    ),
  mixture_of_experts: z.boolean().describe("Whether the model has experts."),
  billion_parameters: z.number().gt(0).describe("Size, all experts counted."),
  ulysses: z
    .boolean()
    .default(true)
    .describe(
      "Whether sequence parallelism computes the right thing: hybrid attention does not (C-13).",
    ),
  tool_call_parser: z
    .partialRecord(z.enum(scaffolds), z.string())
    .describe("vLLM's tool-call parser by scaffold."),
});

/** `config/models.yaml`: facts by the name of the checkpoint directory. */
export const models = z.record(z.string(), facts);

export type ModelFacts = z.output<typeof facts>;
export type Models = z.output<typeof models>;
