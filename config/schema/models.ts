import { z } from "zod";
import { scaffolds } from "./harbor.ts";
import { count } from "./scalars.ts";

const linearAttention = z.strictObject({
  key_heads: count().describe("`linear_num_key_heads`."),
  value_heads: count().describe("`linear_num_value_heads`."),
  key_head_dim: count().describe("`linear_key_head_dim`."),
  value_head_dim: count().describe("`linear_value_head_dim`."),
  conv_kernel: count().default(4).describe("`linear_conv_kernel_dim`."),
});

const experts = z.strictObject({
  count: count().describe("`num_experts`."),
  per_token: count().describe("`num_experts_per_tok`."),
  intermediate_size: count().describe("`moe_intermediate_size`."),
  shared_intermediate_size: z
    .int()
    .min(0)
    .default(0)
    .describe("`shared_expert_intermediate_size`; 0: no shared expert."),
});

/** Shapes of a decoder, from which its memory follows. */
export const architecture = z.strictObject({
  layers: count().describe("`num_hidden_layers`."),
  hidden_size: count().describe("`hidden_size`."),
  heads: count().describe("`num_attention_heads`."),
  kv_heads: count().describe("`num_key_value_heads`."),
  head_dim: count().describe("`head_dim`."),
  vocab_size: count().describe("`vocab_size`."),
  intermediate_size: z
    .int()
    .min(0)
    .default(0)
    .describe("`intermediate_size` of the dense layers; 0: every layer has experts."),
  tied_embeddings: z.boolean().default(false).describe("`tie_word_embeddings`."),
  full_attention_layers: count()
    .optional()
    .describe("Layers with a KV cache, in hybrid models. Default: all."),
  gated_attention: z.boolean().default(false).describe("Whether attention has an output gate."),
  linear_attention: linearAttention
    .optional()
    .describe("The other layers' attention, in hybrid models."),
  experts: experts.optional().describe("Experts of every layer."),
  other_parameters: z
    .int()
    .min(0)
    .default(0)
    .describe("Parameters beside the decoder, for example of a vision tower."),
});

const facts = z.strictObject({
  kv_heads: z
    .int()
    .min(1)
    .optional()
    .describe("Key-value heads (`num_key_value_heads`). Omitted: what `architecture` says."),
  mixture_of_experts: z.boolean().describe("Whether the model has experts."),
  billion_parameters: z
    .number()
    .gt(0)
    .optional()
    .describe("Size, all experts counted. Omitted: what `architecture` adds up to."),
  max_position_embeddings: count()
    .optional()
    .describe("Longest window that the model was made for. Omitted: unknown."),
  scaled_window: count()
    .optional()
    .describe("Window that the model's YaRN scaling gives, where config.json has one."),
  ulysses: z
    .boolean()
    .default(true)
    .describe(
      "Whether sequence parallelism computes the right thing: hybrid attention does not (C-13).",
    ),
  tool_call_parser: z
    .partialRecord(z.enum(scaffolds), z.string())
    .describe("vLLM's tool-call parser by scaffold."),
  architecture: architecture
    .optional()
    .describe("Shapes of `config.json`, for the memory estimate. Omitted: unknown."),
});

/** `config/models.yaml`: facts by the name of the checkpoint directory. */
export const models = z.record(z.string(), facts);

export type Architecture = z.output<typeof architecture>;
export type ModelFacts = z.output<typeof facts>;
export type Models = z.output<typeof models>;
