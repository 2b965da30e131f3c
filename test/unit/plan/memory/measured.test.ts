import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { architectureOf } from "../../../../config/load/hugging-face.ts";
import { parametersOf } from "../../../../config/schema/parameters.ts";
import { compared } from "../../../../bench/gpu/compare.ts";
import { projectRoot } from "../../../support/settings.ts";

const read = (file: string): unknown =>
  JSON.parse(readFileSync(join(projectRoot, "bench/gpu", file), "utf8"));

const cards = ["h100", "h200"] as const;
const rows = cards.flatMap((card) =>
  compared(read("cases.json"), read(`results-${card}.json`)).map((row) => ({ ...row, card })),
);

describe("what was measured", () => {
  it("is there: each card, and hybrid models of both kinds on one GPU and on two", () => {
    for (const card of cards) {
      expect(rows.filter((row) => row.card === card).length).toBeGreaterThan(12);
    }
    const hybrid = rows.filter(({ model }) => model.linear_attention);
    const seen = hybrid.map(({ model, gpus }) => `${gpus} ${model.experts ? "mixture" : "dense"}`);
    expect([...new Set(seen)].sort()).toEqual(["1 dense", "1 mixture", "2 dense", "2 mixture"]);
  });

  it.each(rows)("$name on $gpus × $card is foretold", ({ predicted, measured }) => {
    // memory.ts takes the error as twice this.
    expect(predicted.update / measured.update).toBeGreaterThan(0.95);
    expect(predicted.update / measured.update).toBeLessThan(1.05);
    expect(predicted.step / measured.step).toBeGreaterThan(0.98);
    expect(predicted.step / measured.step).toBeLessThan(1.02);
    expect(predicted.scoring / measured.scoring).toBeGreaterThan(0.9);
    expect(predicted.scoring / measured.scoring).toBeLessThan(1.1);
  });

  it.each(rows.filter(({ name }) => name.endsWith("small-vocabulary")))(
    "$name on $gpus × $card, where a layer decides, is foretold within 2 %",
    ({ predicted, measured }) => {
      expect(Math.abs(predicted.update / measured.update - 1)).toBeLessThan(0.02);
    },
  );

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
