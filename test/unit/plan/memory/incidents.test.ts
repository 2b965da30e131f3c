import { describe, expect, it } from "vitest";
import { planWith } from "../../../support/settings.ts";

const GiB = 2 ** 30;
/** What PyTorch calls an H200: the budget of the out-of-memory notes. */
const budget = 139.8;

const window = (prompt: number, response: number) =>
  `training: { max_prompt_length: ${prompt}, max_response_length: ${response} }`;

function actor(yaml: string, base: string) {
  const { plan, problems, warnings } = planWith(yaml, { base });
  const role = plan.memory?.roles.find((candidate) => candidate.role === "actor");
  const ids = [...problems, ...warnings].map(({ rule }) => rule);
  return { gib: (role?.peak.bytes ?? NaN) / GiB, role, ids };
}

describe("the documented peaks of Qwen3.5-35B-A3B (C-21, C-17)", () => {
  it("are met on one trainer node, where 131072 tokens overflow", () => {
    const { gib, ids } = actor(window(40_000, 91_072), "two-node");
    expect(gib).toBeGreaterThan(149 * 0.9);
    expect(gib).toBeLessThan(149 * 1.1);
    expect(ids).toContain("gpu-memory");
  });

  it("are met on two trainer nodes, where they fit", () => {
    const { gib, ids } = actor("", "three-node");
    expect(gib).toBeGreaterThan(122 * 0.9);
    expect(gib).toBeLessThan(122 * 1.1);
    expect(ids).not.toContain("gpu-memory");
  });

  it.each([
    [30_000, 58_304, false],
    [30_000, 90_000, true],
    [40_000, 80_000, true],
    [40_000, 91_072, true],
  ])("one trainer node with %i + %i tokens overflows: %s", (prompt, response, overflows) => {
    expect(actor(window(prompt, response), "two-node").gib > budget).toBe(overflows);
  });

  it("come from the logits more than from anything else", () => {
    const { parts = {} } = actor("", "three-node").role?.peak ?? {};
    const most = Object.entries(parts).sort(([, a], [, b]) => b - a)[0]?.[0];
    expect(most).toBe("logits");
  });
});

describe("what the releases of verl do to the logits", () => {
  const logits = (verl: string, more = "") =>
    (actor(`verl: { ${verl} }\n${more}`, "two-node").role?.peak.parts.logits ?? 0) /
    (88_304 * 248_320 * 2);

  it.each([
    ["version: 0.8.0, distribution: fork", "", 1],
    ["version: 0.8.0, distribution: stock", "", 4],
    ["version: 0.9.1, distribution: stock", "", 1],
    [
      "version: 0.9.1, distribution: stock",
      "algorithm: { temperature: 0.8 }\nharbor_agent: { temperature: 0.8 }",
      2,
    ],
  ])("%s %s", (verl, more, copies) => {
    expect(logits(verl, more)).toBeCloseTo(copies, 5);
  });

  it("fused kernels never make them", () => {
    const fused = "overrides: { actor_rollout_ref.model.use_fused_kernels: true }";
    expect(logits(fused)).toBeLessThan(0.05);
  });
});

describe("what the original system ships for each model", () => {
  const fatal = (base: string, yaml: string) =>
    planWith(yaml, { base }).problems.map(({ rule }) => rule);
  const replays = "verl: { engine: veomni }\ntraining: { fsdp_size: -1, sp_size: 4 }";

  it.each([
    ["Qwen3.5-35B-A3B, three nodes, FSDP", "three-node", ""],
    ["Qwen3.5-35B-A3B, three nodes, VeOmni with shared sequences", "three-node", replays],
    ["Qwen3-30B-A3B, three nodes, VeOmni", "three-node-veomni", ""],
    ["Qwen3-30B-A3B, one node, FSDP", "single-node", ""],
    [
      "Qwen3-30B-A3B, two nodes, OpenCode, response 68000",
      "two-node",
      "model: { model_path: /models/Qwen3-30B-A3B-Instruct-2507 }\ntraining: { sp_size: 4, max_response_length: 68000 }\nharbor_agent: { scaffold: opencode }\nverl: { tool_call_parser: hermes }",
    ],
    ["the smoke batch", "two-node", "smoke: true"],
  ])("%s is not refused", (_what, base, yaml) => {
    expect(fatal(base, yaml)).toEqual([]);
  });

  it("Qwen3.6-27B by FSDP at 200000 tokens is, and rightly: docs/memory.md", () => {
    const recipe =
      "model: { model_path: /models/Qwen3.6-27B }\ntraining: { max_prompt_length: 167232, max_response_length: 32768";
    expect(fatal("three-node", `${recipe} }`)).toEqual(["gpu-memory"]);
    expect(fatal("three-node", `${recipe}, activation_offload: true }`)).toEqual(["host-memory"]);
  });
});
