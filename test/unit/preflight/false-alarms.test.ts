import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { experimentNames, type Loaded, load } from "../../../config/load/load.ts";
import { type Tier, tiers } from "../../../config/schema/experiment.ts";
import { isFatal } from "../../../preflight/evaluate.ts";
import { preflight } from "../../../preflight/preflight.ts";
import { report } from "../../../preflight/report.ts";
import { projectRoot, settingsWith } from "../../support/settings.ts";

const secrets = new Set(["wandbApiKey"]);
const shipped = experimentNames(projectRoot).flatMap((experiment) =>
  ["lab", "example"].map((site) => ({ experiment, site })),
);

/** Warnings about shipped values that are right. */
const right: Readonly<Record<string, readonly string[]>> = {
  // The official values share sequences, which leaves FSDP without router replay.
  "single-node": ["C-15"],
  // The released verl has no replay on FSDP.
  "single-node-stock": ["C-15"],
  smoke: ["C-15"],
  // 131 GiB of 140: within the estimate's error.
  "two-node": ["gpu-memory"],
  "two-node-stock": ["C-15", "gpu-memory"],
  "three-node-stock": ["C-15"],
};

describe("no false alarm", () => {
  it.each(shipped)("for $experiment on the site $site", async ({ experiment, site }) => {
    const loaded = load(projectRoot, { stack: experiment, experiment, site, secrets });
    const { findings } = await preflight(loaded, { offline: true });
    const alarms = findings.filter(({ severity }) => severity === "fatal" || severity === "warn");
    expect(alarms.map(({ id }) => id)).toEqual(right[experiment] ?? []);
  });

  const bases = Object.fromEntries(
    tiers.map((base) => [base, settingsWith("", { base, secrets })]),
  ) as Record<Tier, Loaded>;

  /** Settings that are sound by the way they are made: sizes are products, sums and factors of each other. */
  const sound = fc.record({
    tier: fc.constantFrom(...tiers),
    mode: fc.constantFrom("litellm", "in_process"),
    tensorParallel: fc.constantFrom(1, 2, 4),
    sequenceParallel: fc.constantFrom(1, 2, 4, 8),
    sharded: fc.constantFrom(-1, 1, 2, 8),
    miniBatch: fc.constantFrom(8, 16, 64),
    updates: fc.integer({ min: 1, max: 4 }),
    trials: fc.constantFrom(2, 4, 8, 16),
    workers: fc.constantFrom(1, 2, 4, 8, 16),
    promptTokens: fc.integer({ min: 1, max: 60_000 }),
    responseTokens: fc.integer({ min: 1, max: 60_000 }),
    room: fc.integer({ min: 0, max: 100_000 }),
    agentSeconds: fc.integer({ min: 60, max: 4000 }),
    temperature: fc.double({ min: 0.1, max: 2, noNaN: true }),
    stack: fc.stringMatching(/^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$/),
    save: fc.constantFrom(-1, 1, 5, 10),
    importance: fc.constantFrom(null, "token", "sequence"),
  });

  it("for settings that are sound by construction", { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(sound, async (v) => {
        const { settings, locate } = bases[v.tier];
        const { experiment } = settings;
        const changed = {
          ...settings,
          stack: v.stack,
          modelFacts: {
            mixture_of_experts: true,
            billion_parameters: 30,
            ulysses: true,
            kv_heads: 4,
            tool_call_parser: { "claude-code": "qwen3_coder" },
            max_position_embeddings: 262_144,
          },
          experiment: {
            ...experiment,
            proxy: { ...experiment.proxy, mode: v.mode },
            vllm: {
              ...experiment.vllm,
              gen_tp: v.tensorParallel,
              max_model_length: v.promptTokens + v.responseTokens + v.room,
            },
            training: {
              ...experiment.training,
              sp_size: v.sequenceParallel,
              fsdp_size: v.sharded,
              train_batch_size: v.miniBatch * v.updates,
              train_prompt_mini_batch_size: v.miniBatch,
              n_resp_per_prompt: v.trials,
              max_prompt_length: v.promptTokens,
              max_response_length: v.responseTokens,
              save_freq: v.save,
            },
            algorithm: {
              ...experiment.algorithm,
              temperature: v.temperature,
              rollout_is: v.importance,
            },
            harbor_agent: {
              ...experiment.harbor_agent,
              temperature: v.temperature,
              max_timeout_sec: v.agentSeconds,
            },
            harbor_runtime: { ...experiment.harbor_runtime, num_workers: v.workers },
            // As many as verl can hold: 8 servers × 32 prompts × 16 trials.
            sandbox: { ...experiment.sandbox, parallel_trials: 4096 },
          },
        } as typeof settings;
        const { findings } = await preflight(
          { settings: changed, warnings: [], locate },
          { offline: true },
        );
        expect(report(findings.filter(isFatal))).toBe(report([]));
      }),
      { numRuns: 300 },
    );
  });
});
