/** Reads what a Hugging Face `config.json` says of a model. Pure. */
import { type Architecture, architecture, type ModelFacts } from "../schema/models.ts";
import { parametersOf } from "../schema/parameters.ts";
import { isRecord } from "./document.ts";

export type ConfigFacts = Omit<ModelFacts, "tool_call_parser">;

/** What follows from the configuration; undefined if it does not describe a language model. */
export function factsOfConfig(config: unknown): ConfigFacts | undefined {
  if (!isRecord(config)) return undefined;
  const text = textConfig(config);
  const shapes = architectureOf(config);
  const kvHeads = shapes?.kv_heads ?? number(text, "num_key_value_heads");
  if (kvHeads === undefined && number(text, "num_hidden_layers") === undefined) return undefined;
  const longest = number(text, "max_position_embeddings");
  return {
    mixture_of_experts: hasExperts(config),
    ulysses: linearLayers(text) === 0,
    ...(kvHeads === undefined ? {} : { kv_heads: kvHeads }),
    ...(longest === undefined ? {} : { max_position_embeddings: longest }),
    ...scaledWindow(text),
    ...(shapes
      ? { architecture: shapes, billion_parameters: parametersOf(shapes).total / 1e9 }
      : {}),
  };
}

/** YaRN: the original window times the factor; transformers 5 writes `rope_parameters`. */
function scaledWindow(text: Config): Pick<ConfigFacts, "scaled_window"> {
  const rope = text["rope_scaling"] ?? text["rope_parameters"];
  if (!isRecord(rope) || (rope["rope_type"] ?? rope["type"]) !== "yarn") return {};
  const original =
    number(rope, "original_max_position_embeddings") ?? number(text, "max_position_embeddings");
  const factor = rope["factor"];
  if (original === undefined || typeof factor !== "number") return {};
  return { scaled_window: Math.floor(original * factor) };
}

type Config = Readonly<Record<string, unknown>>;

const sections = ["text_config", "language_config", "llm_config", "thinker_config"] as const;

/** A model that also sees or hears keeps the numbers of its decoder in a section of their own. */
function textConfig(config: Config): Config {
  for (const name of sections) {
    const section = config[name];
    if (isRecord(section)) return textConfig(section);
  }
  return config;
}

const expertKeys = ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"];

function hasExperts(config: Config): boolean {
  const text = textConfig(config);
  return [config, text].some(
    (part) =>
      /_moe(_|$)/.test(typeof part["model_type"] === "string" ? part["model_type"] : "") ||
      expertKeys.some((key) => (number(part, key) ?? 0) > 1),
  );
}

/** Keys of decoders whose memory the formula does not know: latent attention, layers of different kinds. */
const foreign = ["kv_lora_rank", "mamba_d_state", "ssm_state_size", "hybrid_override_pattern"];

/** The shapes of the decoder; undefined if some are missing, or are not of a kind that the formula knows. */
export function architectureOf(config: Config): Architecture | undefined {
  const text = textConfig(config);
  const mixed =
    (number(text, "first_k_dense_replace") ?? 0) > 0 ||
    (number(text, "decoder_sparse_step") ?? 1) > 1 ||
    (Array.isArray(text["mlp_only_layers"]) && text["mlp_only_layers"].length > 0);
  if (mixed || foreign.some((key) => text[key] !== undefined && text[key] !== null)) {
    return undefined;
  }
  const [heads, hidden, layers] = [
    number(text, "num_attention_heads"),
    number(text, "hidden_size"),
    number(text, "num_hidden_layers"),
  ];
  if (heads === undefined || hidden === undefined || layers === undefined) return undefined;
  const linear = linearLayers(text);
  const experts = hasExperts(config) ? expertsOf(text) : undefined;
  const parsed = architecture.safeParse({
    layers,
    hidden_size: hidden,
    heads,
    kv_heads: number(text, "num_key_value_heads") ?? heads,
    head_dim: number(text, "head_dim") ?? hidden / heads,
    vocab_size: number(text, "vocab_size"),
    intermediate_size: experts ? 0 : number(text, "intermediate_size"),
    tied_embeddings: (text["tie_word_embeddings"] ?? config["tie_word_embeddings"]) === true,
    gated_attention: linear > 0 && text["attn_output_gate"] !== false,
    other_parameters: visionParameters(config["vision_config"]),
    ...(linear > 0
      ? { full_attention_layers: layers - linear, linear_attention: linearOf(text) }
      : {}),
    ...(experts ? { experts } : {}),
  });
  return parsed.success && (experts !== undefined) === hasExperts(config) ? parsed.data : undefined;
}

/** Layers without a KV cache: listed, or all but every n-th. */
function linearLayers(text: Config): number {
  const kinds = text["layer_types"];
  if (Array.isArray(kinds)) return kinds.filter((kind) => kind === "linear_attention").length;
  if (number(text, "linear_num_value_heads") === undefined) return 0;
  const layers = number(text, "num_hidden_layers") ?? 0;
  return layers - Math.floor(layers / (number(text, "full_attention_interval") ?? 4));
}

function linearOf(text: Config) {
  return {
    key_heads: number(text, "linear_num_key_heads"),
    value_heads: number(text, "linear_num_value_heads"),
    key_head_dim: number(text, "linear_key_head_dim"),
    value_head_dim: number(text, "linear_value_head_dim"),
    conv_kernel: number(text, "linear_conv_kernel_dim"),
  };
}

function expertsOf(text: Config) {
  const count = expertKeys.map((key) => number(text, key)).find((found) => found !== undefined);
  const perToken = number(text, "num_experts_per_tok");
  const size = number(text, "moe_intermediate_size");
  if (count === undefined || perToken === undefined || size === undefined) return undefined;
  return {
    count,
    per_token: perToken,
    intermediate_size: size,
    shared_intermediate_size: number(text, "shared_expert_intermediate_size") ?? 0,
  };
}

/** A plain vision transformer: attention and two projections a layer. */
function visionParameters(vision: unknown): number {
  if (!isRecord(vision)) return 0;
  const [depth, hidden, inner] = ["depth", "hidden_size", "intermediate_size"].map(
    (key) => number(vision, key) ?? 0,
  ) as [number, number, number];
  return depth * (4 * hidden * hidden + 2 * hidden * inner);
}

function number(config: Config, key: string): number | undefined {
  const value = config[key];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
