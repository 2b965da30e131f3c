import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  kvBytesPerToken,
  rolloutMemory,
  trainingPeak,
  type TrainingSetup,
} from "../../../../plan/memory/index.ts";
import type { Architecture } from "../../../../config/schema/models.ts";

const base: Architecture = {
  layers: 48,
  hidden_size: 2048,
  heads: 32,
  kv_heads: 4,
  head_dim: 128,
  vocab_size: 151_936,
  intermediate_size: 0,
  tied_embeddings: false,
  gated_attention: false,
  other_parameters: 0,
  experts: { count: 128, per_token: 8, intermediate_size: 768, shared_intermediate_size: 0 },
};

const model: fc.Arbitrary<Architecture> = fc
  .record({
    layers: fc.integer({ min: 1, max: 80 }),
    hidden_size: fc.constantFrom(1024, 2048, 5120),
    vocab_size: fc.constantFrom(8192, 151_936, 248_320),
    tied_embeddings: fc.boolean(),
    dense: fc.boolean(),
    hybrid: fc.boolean(),
  })
  .map(({ dense, hybrid, ...sizes }) => {
    const { experts, ...rest } = { ...base, ...sizes };
    const linear = { key_heads: 16, value_heads: 32, key_head_dim: 128, value_head_dim: 128 };
    return {
      ...rest,
      ...(dense ? { intermediate_size: 6144 } : { experts }),
      ...(hybrid
        ? {
            full_attention_layers: Math.max(1, Math.floor(sizes.layers / 4)),
            linear_attention: { ...linear, conv_kernel: 4 },
            gated_attention: true,
          }
        : {}),
    };
  });

const setup: fc.Arbitrary<TrainingSetup> = fc.record({
  model,
  tokens: fc.integer({ min: 1, max: 300_000 }),
  shards: fc.constantFrom(1, 2, 4, 8, 16, 32),
  sharding: fc.constantFrom("flat", "by parameter"),
  logitsCopies: fc.constantFrom(0, 1, 2, 4),
  offloadsActivations: fc.boolean(),
  checkpointing: fc.boolean(),
  hasHead: fc.boolean(),
});

describe("the memory of training", () => {
  it("is never more with more shards", () => {
    fc.assert(
      fc.property(setup, (s) => {
        const finer = { ...s, shards: s.shards * 2 };
        expect(trainingPeak(finer).bytes).toBeLessThanOrEqual(trainingPeak(s).bytes);
      }),
    );
  });

  it("is never less with a longer window", () => {
    fc.assert(
      fc.property(setup, fc.integer({ min: 1, max: 100_000 }), (s, more) => {
        const longer = { ...s, tokens: s.tokens + more };
        expect(trainingPeak(longer).bytes).toBeGreaterThanOrEqual(trainingPeak(s).bytes);
      }),
    );
  });

  it("is the sum of its parts, and none is negative", () => {
    fc.assert(
      fc.property(setup, (s) => {
        const { parts, bytes } = trainingPeak(s);
        const all = Object.values(parts);
        expect(all.every((part) => part >= 0)).toBe(true);
        expect(all.reduce((sum, part) => sum + part, 0)).toBeCloseTo(bytes, 0);
      }),
    );
  });

  it("is never more with checkpointing", () => {
    fc.assert(
      fc.property(setup, (s) => {
        const kept = trainingPeak({ ...s, checkpointing: false }).bytes;
        // With a single layer there is nothing to forget but its own input.
        const slack = 4 * s.model.hidden_size * s.tokens;
        expect(trainingPeak({ ...s, checkpointing: true }).bytes).toBeLessThanOrEqual(kept + slack);
      }),
    );
  });
});

describe("the KV cache", () => {
  const rollout = {
    model: base,
    tensorParallel: 4,
    elementBytes: 2,
    capacity: 140 * 2 ** 30,
    utilization: 0.85,
    sequences: 96,
    window: 128_000,
    graphs: true,
  };

  it("takes two vectors a layer and KV head for each token", () => {
    expect(kvBytesPerToken(rollout)).toBe(2 * 48 * 1 * 128 * 2);
    expect(kvBytesPerToken({ ...rollout, tensorParallel: 1 })).toBe(2 * 48 * 4 * 128 * 2);
    expect(kvBytesPerToken({ ...rollout, tensorParallel: 8 })).toBe(2 * 48 * 1 * 128 * 2);
  });

  it("grows with the share, and never with more sequences", () => {
    const tokens = (changes: Partial<typeof rollout>) =>
      rolloutMemory({ ...rollout, ...changes }).kvTokens;
    expect(tokens({ utilization: 0.9 })).toBeGreaterThan(tokens({}));
    expect(tokens({ sequences: 512 })).toBeLessThan(tokens({}));
    expect(tokens({ tensorParallel: 8 })).toBeGreaterThan(tokens({}));
  });

  it("is nothing where the weights do not fit", () => {
    const small = rolloutMemory({ ...rollout, capacity: 16 * 2 ** 30 });
    expect(small.kvTokens).toBeLessThan(0);
    expect(small.fullSequences).toBe(0);
  });
});
