import { describe, expect, it } from "vitest";
import { plan as decide } from "../../../plan/plan.ts";
import { evaluate, isFatal } from "../../../preflight/evaluate.ts";
import { preflight } from "../../../preflight/preflight.ts";
import { judgeCluster, spoiledBy } from "../../../rules/judge.ts";
import { factsWith, known } from "../../support/facts.ts";
import { ConfigFolder, settingsWith } from "../../support/settings.ts";

const facts = factsWith({ rayClusterVersions: known([]) });

function findings(yaml: string, stack = "run") {
  const loaded = settingsWith(yaml, { stack, experiment: "run" });
  const { settings } = loaded;
  const fatal = evaluate(loaded).findings.filter(isFatal);
  return judgeCluster({ settings, plan: decide(settings), facts }, spoiledBy(fatal));
}
const waiting = (found: ReturnType<typeof findings>) =>
  found.filter((one) => one.found.includes("waits")).map(({ id, found: text }) => [id, text]);

describe("the cluster is asked whatever is wrong with the settings", () => {
  it.each([
    "vllm: { gen_tp: 3 }",
    "training: { sp_size: 3 }",
    "trainer: { project_dir: /models }",
    "harbor_agent: { scaffold: custom }",
    "verl: { overrides: { trainer.nnodes: 1 } }",
  ])("%s keeps no check waiting", (yaml) => {
    const found = findings(yaml);
    expect(waiting(found)).toEqual([]);
    expect(found).toContainEqual(expect.objectContaining({ id: "kuberay-installed" }));
  });

  it("checks of what a broken rule makes meaningless wait, and name it", () => {
    const found = findings("infrastructure: { nnodes: 2 }");
    const waits = waiting(found);
    expect(waits).toContainEqual(["gpu-free", "not checked: waits for C-11 to be mended"]);
    expect(waits.map(([id]) => id)).not.toContain("cpu-node-room");
    expect(found).toContainEqual(
      expect.objectContaining({ id: "kuberay-installed", severity: "fatal" }),
    );
  });

  it("several broken rules are named together, each once", () => {
    const found = findings("infrastructure: { nnodes: 2 }", "Run");
    expect(waiting(found)).toContainEqual([
      "gpu-free",
      "not checked: waits for stack-name and C-11 to be mended",
    ]);
  });

  it("one report has both", async () => {
    using folder = new ConfigFolder();
    folder.write("run.yaml", "extends: single-node.yaml\nvllm: { gen_tp: 3 }");
    folder.write("sites/gone.yaml", "extends: lab.yaml\ncluster: { kubeconfig: /nonexistent }");
    const { findings } = await preflight(folder.load({ site: "gone" }));
    const fatal = findings.filter(isFatal).map(({ id }) => id);
    expect(fatal).toEqual(expect.arrayContaining(["C-01", "C-02", "cluster-reachable"]));
  });
});

describe("numbers in messages", () => {
  it.each([
    ["vllm: { gen_tp: 3 }", "single-node"],
    ["vllm: { gen_tp: 3 }\nsandbox: { parallel_trials: 10 }", "two-node"],
    ["training: { sp_size: 3 }", "single-node"],
    ["async_training: { require_batches: 3 }\nsandbox: { parallel_trials: 10 }", "two-node"],
    ["training: { train_batch_size: 65 }", "two-node"],
    ["infrastructure: { ngpus_per_node: 7 }\nvllm: { gen_tp: 2 }", "three-node"],
  ])("are whole where they count things: %s on %s", (yaml, base) => {
    const { findings } = evaluate(settingsWith(yaml, { base }));
    const fatal = findings.filter(isFatal);
    expect(fatal.length).toBeGreaterThan(0);
    for (const { found, consequence, remedy } of fatal) {
      expect(`${found} ${consequence} ${remedy}`).not.toMatch(/\d\.\d{3,}/);
    }
  });
});
