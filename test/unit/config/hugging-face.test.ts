import { describe, expect, it } from "vitest";
import { factsOfConfig } from "../../../config/load/hugging-face.ts";
import { parametersOf } from "../../../config/schema/parameters.ts";
import { ConfigError } from "../../../config/load/problem.ts";
import { ConfigFolder, settingsWith } from "../../support/settings.ts";

const dense = {
  model_type: "qwen3",
  num_hidden_layers: 2,
  hidden_size: 128,
  intermediate_size: 256,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  vocab_size: 1000,
  tie_word_embeddings: false,
  max_position_embeddings: 40_960,
};
const experts = { num_experts: 8, num_experts_per_tok: 2, moe_intermediate_size: 64 };
const linear = {
  linear_num_key_heads: 2,
  linear_num_value_heads: 4,
  linear_key_head_dim: 16,
  linear_value_head_dim: 16,
};

describe("a config.json", () => {
  // Counted by transformers 5.17.
  it.each([
    ["dense", dense, 551_680],
    ["with experts", { ...dense, ...experts, model_type: "qwen3_moe" }, 750_336],
    ["hybrid", { ...dense, ...linear, num_hidden_layers: 4, model_type: "qwen3_5_text" }, 818_952],
    [
      "hybrid with experts",
      {
        ...dense,
        ...linear,
        ...experts,
        num_hidden_layers: 4,
        shared_expert_intermediate_size: 64,
        model_type: "qwen3_5_moe_text",
      },
      1_315_080,
    ],
  ])("of a model that is %s has its shapes", (_what, config, parameters) => {
    const shapes = factsOfConfig(config)?.architecture;
    expect(shapes && parametersOf(shapes).total).toBe(parameters);
  });

  it("is read where a model that sees has its text model's numbers", () => {
    const nested = {
      model_type: "qwen3_5_moe",
      tie_word_embeddings: false,
      text_config: {
        ...dense,
        ...linear,
        ...experts,
        num_hidden_layers: 8,
        model_type: "qwen3_5_moe_text",
      },
      vision_config: { depth: 2, hidden_size: 10, intermediate_size: 20 },
    };
    expect(factsOfConfig(nested)).toMatchObject({
      kv_heads: 2,
      mixture_of_experts: true,
      ulysses: false,
      max_position_embeddings: 40_960,
      architecture: { full_attention_layers: 2, other_parameters: 2 * (400 + 400) },
    });
  });

  it.each([
    ["the type of the model", { model_type: "qwen3_moe" }],
    ["the type of the nested model", { text_config: { ...dense, model_type: "a_moe_text" } }],
    ["a count of experts", { num_local_experts: 8 }],
    ["a nested count", { text_config: { ...dense, n_routed_experts: 64 } }],
  ])("has experts by %s", (_what, keys) => {
    expect(factsOfConfig({ ...dense, ...keys })?.mixture_of_experts).toBe(true);
  });

  it("has none by a dense type", () => {
    expect(factsOfConfig(dense)).toMatchObject({ mixture_of_experts: false, ulysses: true });
    expect(factsOfConfig({ ...dense, model_type: "moellama", num_experts: 0 })).toMatchObject({
      mixture_of_experts: false,
    });
  });

  it.each([
    ["latent attention", { kv_lora_rank: 512 }],
    ["dense layers before those with experts", { ...experts, first_k_dense_replace: 1 }],
    ["experts of unknown size", { num_experts: 8 }],
    ["no vocabulary", { vocab_size: undefined }],
  ])("with %s gives its KV heads, but no shapes", (_what, keys) => {
    const facts = factsOfConfig({ ...dense, ...keys });
    expect(facts?.kv_heads).toBe(2);
    expect(facts?.architecture).toBeUndefined();
  });

  it.each([null, 3, "text", [], {}, { text_config: null }])("is not %j", (config) => {
    expect(factsOfConfig(config)).toBeUndefined();
  });
});

describe("model.config_file", () => {
  it("stands over the catalogue, whose parser stays", () => {
    using folder = new ConfigFolder();
    folder.write("model.json", JSON.stringify(dense));
    folder.write(
      "run.yaml",
      "extends: single-node.yaml\nmodel: { config_file: config/model.json }",
    );
    const { modelFacts } = folder.load().settings;
    expect(modelFacts).toMatchObject({ kv_heads: 2, mixture_of_experts: false });
    expect(modelFacts?.tool_call_parser).toHaveProperty("claude-code");
  });

  it.each([
    ["does not exist on this machine", "missing.json", undefined],
    ["is not valid JSON", "config/model.json", "{"],
    ["is not the configuration of a language model", "config/model.json", "{}"],
    ["is a directory, not a file", "config", undefined],
  ])("that %s is refused with its place", (why, file, content) => {
    using folder = new ConfigFolder();
    if (content !== undefined) folder.write("model.json", content);
    folder.write("run.yaml", `extends: single-node.yaml\nmodel: { config_file: ${file} }`);
    const load = () => folder.load();
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(`config/run.yaml:2:23 model.config_file: ${file} ${why}`);
  });

  it("beside the checkpoint is found, and one that is none is left alone", () => {
    using folder = new ConfigFolder();
    const site = `extends: lab.yaml\nvolumes: { models: { mount_path: ${folder.root} } }`;
    folder.write("sites/here.yaml", site);
    folder.write(
      "run.yaml",
      `extends: single-node.yaml\nmodel: { model_path: ${folder.root}/config }`,
    );
    expect(folder.load({ site: "here" }).settings.modelFacts).toBeUndefined();
    folder.write("config.json", "[]");
    expect(folder.load({ site: "here" }).settings.modelFacts).toBeUndefined();
    folder.write("config.json", JSON.stringify(dense));
    expect(folder.load({ site: "here" }).settings.modelFacts?.kv_heads).toBe(2);
  });

  it("is none of the shipped experiments' business", () => {
    expect(settingsWith("").settings.modelFacts?.architecture?.layers).toBe(48);
  });
});

describe("YaRN", () => {
  const config = {
    num_hidden_layers: 36,
    num_key_value_heads: 8,
    max_position_embeddings: 40960,
  };
  const yarn = { factor: 4.0, original_max_position_embeddings: 32768 };

  it.each([
    [{ rope_scaling: { rope_type: "yarn", ...yarn } }, 131072],
    [{ rope_scaling: { type: "yarn", ...yarn } }, 131072],
    [{ rope_parameters: { rope_type: "yarn", ...yarn } }, 131072],
    [{ rope_scaling: { rope_type: "yarn", factor: 2 } }, 81920],
    [{ rope_scaling: { rope_type: "linear", factor: 2 } }, undefined],
    [{ rope_scaling: null }, undefined],
  ])("gives a window beside max_position_embeddings: %j", (rope, window) => {
    const facts = factsOfConfig({ ...config, ...rope });
    expect(facts?.scaled_window).toBe(window);
    expect(facts?.max_position_embeddings).toBe(40960);
  });
});
