import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { architectureOf } from "../../../../config/load/hugging-face.ts";
import { parametersOf } from "../../../../config/plan/memory/parameters.ts";
import { compared } from "../../../../bench/gpu/compare.ts";
import { projectRoot } from "../../../support/settings.ts";

const read = (file: string): unknown =>
  JSON.parse(readFileSync(join(projectRoot, "bench/gpu", file), "utf8"));

const rows = compared(read("cases.json"), read("results-h100.json"));

describe("what was measured on H100s", () => {
  it("is there", () => {
    expect(rows.length).toBeGreaterThan(7);
  });

  it.each(rows)("$name on $gpus GPUs is foretold within 10 %", ({ predicted, measured }) => {
    expect(predicted.update / measured.update).toBeGreaterThan(0.9);
    expect(predicted.update / measured.update).toBeLessThan(1.1);
    expect(predicted.step / measured.step).toBeGreaterThan(0.98);
    expect(predicted.step / measured.step).toBeLessThan(1.02);
  });

  it.each(rows)("$name has as many parameters as counted", ({ model, parameters }) => {
    expect(parametersOf(model).total).toBe(parameters);
  });
});

describe("the shapes of the real models", () => {
  const shipped = {
    layers: 48,
    heads: 32,
    kv: 4,
  };
  it("add up to the published size", () => {
    const qwen = architectureOf({
      model_type: "qwen3_moe",
      num_hidden_layers: shipped.layers,
      hidden_size: 2048,
      num_attention_heads: shipped.heads,
      num_key_value_heads: shipped.kv,
      head_dim: 128,
      vocab_size: 151_936,
      num_experts: 128,
      num_experts_per_tok: 8,
      moe_intermediate_size: 768,
      intermediate_size: 6144,
      tie_word_embeddings: false,
    });
    expect(qwen && parametersOf(qwen).total).toBe(30_532_122_624);
  });
});
