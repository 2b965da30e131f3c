import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Loaded } from "../../../config/load/load.ts";
import { ConfigError } from "../../../config/load/problem.ts";
import { plan as decide } from "../../../plan/plan.ts";
import { preflightDespite } from "../../../preflight/despite.ts";
import { evaluate, isFatal } from "../../../preflight/evaluate.ts";
import { preflight } from "../../../preflight/preflight.ts";
import { ruleById, settingsRules } from "../../../rules/index.ts";
import { judgeCluster, spoiledBy } from "../../../rules/judge.ts";
import { factsWith, known } from "../../support/facts.ts";
import { cases, sites } from "../../support/rules/cases.ts";
import { loadCase } from "../../support/rules/raised.ts";
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

  it.each(
    Object.entries(cases).flatMap(([id, one]) =>
      one.breaks.map((broken) => [id, one, broken] as const),
    ),
  )("a broken %s hides nothing of the cluster's", (id, one, broken) => {
    const loaded = loadedOr(() => loadCase(one, broken));
    // What no schema admits is below.
    if (!loaded) return;
    const { plan, findings: own } = evaluate(loaded);
    const fatal = own.filter(isFatal);
    const { settings } = loaded;
    const found = judgeCluster({ settings, plan, facts }, spoiledBy(fatal));
    expect(found).toContainEqual(
      expect.objectContaining({ id: "kuberay-installed", severity: "fatal" }),
    );
    const spoiling = settingsRules.find((rule) => rule.id === id)?.spoils !== undefined;
    if (!spoiling) expect(waiting(found)).toEqual([]);
  });
});

function loadedOr(load: () => Loaded): Loaded | undefined {
  try {
    return load();
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

describe("one report has both", () => {
  /** An API server that is too old, and refuses to say more. */
  const server = createServer((request, response) => {
    const isVersion = request.url === "/version";
    response.writeHead(isVersion ? 200 : 403, { "content-type": "application/json" });
    response.end(JSON.stringify(isVersion ? { gitVersion: "v1.29.0" } : {}));
  });
  const folder = new ConfigFolder();
  beforeAll(async () => {
    await new Promise((resolve) =>
      server.listen(0, "127.0.0.1", () => {
        resolve(undefined);
      }),
    );
    const { port } = server.address() as AddressInfo;
    const kubeconfig = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name: "c",
          cluster: { server: `http://127.0.0.1:${port}`, "insecure-skip-tls-verify": true },
        },
      ],
      users: [{ name: "u", user: {} }],
      contexts: [{ name: "kwok-swe-rl", context: { cluster: "c", user: "u" } }],
    };
    writeFileSync(`${folder.root}/kubeconfig`, JSON.stringify(kubeconfig));
    vi.stubEnv("KUBECONFIG", `${folder.root}/kubeconfig`);
    folder.write("sites/bare.yaml", sites["no-images"]);
  });
  afterAll(() => {
    server.close();
    folder[Symbol.dispose]();
    vi.unstubAllEnvs();
  });

  /** What ends the command, as `rule setting`. */
  async function fatalFindings(files: Readonly<Record<string, string>>, site = "lab") {
    for (const [file, text] of Object.entries(files)) folder.write(file, text);
    const source = { root: folder.root, selection: { stack: "run", site } };
    const loaded = loadedOr(() => folder.load({ site }));
    const findings = loaded
      ? (await preflight(loaded)).findings
      : await preflightDespite(
          errorOf(() => folder.load({ site })),
          source,
        );
    const fatal = findings
      .filter(isFatal)
      .map(({ id, path }) => [id, ...(path ? [path.join(".")] : [])].join(" "));
    return { fatal, findings };
  }

  function errorOf(load: () => unknown): ConfigError {
    try {
      load();
    } catch (error) {
      if (error instanceof ConfigError) return error;
    }
    throw new Error("nothing is wrong");
  }

  it("of a site without a registry of the tasks' images, on a cluster that is too old", async () => {
    const { fatal } = await fatalFindings({ "run.yaml": "extends: single-node.yaml" }, "bare");
    expect(fatal).toContain("C-27 site.harbor.task_image_registry");
    expect(fatal).toContain("kubernetes-version");
  });

  it("of settings that contradict each other", async () => {
    const run = "extends: single-node.yaml\nvllm: { gen_tp: 3 }";
    const { fatal } = await fatalFindings({ "run.yaml": run });
    expect(fatal).toEqual(expect.arrayContaining(["C-01 vllm.gen_tp", "kubernetes-version"]));
  });

  it.each([
    ["vllm: { gen_tp: four }", ["vllm.gen_tp"]],
    ["vlm: { gen_tp: 4 }\nvllm: { gen_tpp: 4, gen_tp: 2 }", ["vllm.gen_tpp", "vlm"]],
    [
      "serving: [{ name: a, gpus: x }, { name: b, model_path: /models/b, gpu: 1 }]",
      ["serving.0.gpus", "serving.0.model_path", "serving.1.gpu"],
    ],
    [
      "preflight: { waive: [{ rule: 1, reason: 2 }, 3] }",
      ["preflight.waive.0.reason", "preflight.waive.0.rule", "preflight.waive.1"],
    ],
    ["model: { config_file: nowhere.json }", ["model.config_file"]],
  ])("of settings that no schema admits: %s", async (yaml, paths) => {
    const { fatal, findings } = await fatalFindings({
      "run.yaml": `extends: single-node.yaml\n${yaml}`,
    });
    expect(fatal.sort()).toEqual([...paths.map((path) => `C-36 ${path}`), "kubernetes-version"]);
    expect(findings).toContainEqual(
      expect.objectContaining({
        id: "C-36",
        severity: "unknown",
        found:
          "the rules about the settings wait until these are mended; those about the cluster take them as left out",
      }),
    );
    // Those about the settings would judge what the user never wrote.
    const judged = new Set(findings.map(({ id }) => ruleById[id].judges));
    expect(judged).toEqual(new Set(["files", "cluster"]));
  });

  it("of faults that one file hides in another, and of an original file", async () => {
    const { fatal } = await fatalFindings({
      "below.yaml": "extends: single-node.yaml\nvllm: { gen_tp: four }",
      "run.yaml":
        "runtime_info: { input: { extends: below.yaml, vllm: { gen_tp: many }, trainer: { max_restarts: -1 } } }",
    });
    expect(fatal.sort()).toEqual([
      "C-36 trainer.max_restarts",
      "C-36 vllm.gen_tp",
      "kubernetes-version",
    ]);
  });

  it("of a site whose fault is not what names the cluster", async () => {
    const run = { "run.yaml": "extends: single-node.yaml" };
    const fault = await fatalFindings(
      { ...run, "sites/here.yaml": "extends: lab.yaml\nnetwork: { interface: 1 }" },
      "here",
    );
    expect(fault.fatal).toEqual(["C-36 network.interface", "kubernetes-version"]);
    const without = await fatalFindings({ ...run, "sites/here.yaml": "cluster: {}" }, "here");
    expect(without.fatal).not.toContain("kubernetes-version");
    expect(without.findings.at(-1)?.found).toContain("wait until these files can be read");
  });

  it.each([
    ["no YAML", "vllm: ["],
    ["another stack's", "extends: nowhere.yaml"],
  ])("but for files of which nothing is left: %s", async (_what, text) => {
    const { fatal, findings } = await fatalFindings({ "run.yaml": text });
    expect(fatal).not.toContain("kubernetes-version");
    expect(findings.at(-1)?.found).toContain("wait until these files can be read");
  });

  it("asks nobody where it is told so", async () => {
    folder.write("run.yaml", "extends: single-node.yaml\nx: 1");
    const error = errorOf(() => folder.load({ site: "lab" }));
    const source = { root: folder.root, selection: { stack: "run", site: "lab" } };
    expect(await preflightDespite(error, source, { offline: true })).toHaveLength(2);
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
