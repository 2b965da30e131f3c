import { describe, expect, it } from "vitest";
import { ruleById, type RuleId, ruleIds } from "../../../rules/index.ts";
import { isFatal } from "../../../preflight/evaluate.ts";
import { type CaseId, cases } from "../../support/rules/cases.ts";
import { findingsFor, raised } from "../../support/rules/raised.ts";

/** Rules that only what `written` adds to a case's common settings breaks. */
async function newlyRaised(id: keyof typeof cases, written: Parameters<typeof findingsFor>[1]) {
  const common = await findingsFor(cases[id], "");
  expect(common.filter(isFatal)).toEqual([]);
  const before = raised(common);
  const findings = await findingsFor(cases[id], written);
  return { ids: raised(findings).filter((other) => !before.includes(other)), findings };
}

it("every rule of the configuration has settings that break it and settings that meet it", () => {
  const without = (Object.keys(cases) as CaseId[]).filter((id) => cases[id].breaks.length === 0);
  expect(without).toEqual([]);
});

describe.each(Object.entries(cases))("%s", (key, { breaks, meets }) => {
  const id = key as keyof typeof cases;

  it.each(breaks.map((broken) => [broken] as const))("alone is broken by %j", async (broken) => {
    const { ids, findings } = await newlyRaised(id, broken);
    expect(ids).toEqual([id]);
    for (const finding of findings.filter((finding) => finding.id === id)) {
      expect(finding.found).not.toBe("");
      const { severity } = ruleById[id];
      expect(["unknown", severity, "warn"]).toContain(finding.severity);
    }
  });

  it("is just met", async () => {
    expect((await newlyRaised(id, meets)).ids).toEqual([] satisfies RuleId[]);
  });
});

it("no two rules have the same id", () => {
  expect(new Set(ruleIds).size).toBe(ruleIds.length);
});

it("VeOmni's sizes must divide heads and experts, too", async () => {
  const common = `model: { model_path: /models/Odd-Shapes }\nverl: { engine: veomni }\n`;
  const found = await findingsFor(
    { breaks: [], meets: "", common },
    "training: { sp_size: 8, ep_size: 8 }",
  );
  const shares = found.filter(({ id }) => id === "model-shares");
  expect(shares.map(({ path, found }) => [path?.at(-1), found])).toEqual([
    ["sp_size", "is 8, which does not divide the model's 28 attention heads"],
    ["ep_size", "is 8, which does not divide the model's 60 experts"],
  ]);
});

it("what only a pod can tell of the inputs is unknown, and names each of them", async () => {
  const [finding] = (await findingsFor({ breaks: [], meets: "" }, "")).filter(
    ({ id }) => id === "inputs",
  );
  expect(finding?.severity).toBe("unknown");
  for (const input of ["train.parquet", "val.parquet", "/models/", "agent_loop_config_cc.yaml"]) {
    expect(finding?.found).toContain(input);
  }
});

it.each([
  ["infrastructure: { trainer_nodes: 2 }\nvllm: { gen_tp: 16 }", "the 8 GPUs of a node"],
  ["infrastructure: { trainer_nodes: 2, ngpus_per_node: 6 }\nvllm: { gen_tp: 4 }", "the 6 GPUs"],
])("a rollout server stays on one node: %s", async (yaml, said) => {
  const common = "model: { model_path: /models/Many-Heads }\n";
  const found = await findingsFor({ breaks: [], meets: "", common }, yaml);
  expect(found.find(({ id }) => id === "C-02")?.found).toContain(said);
});
