import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../config/load/problem.ts";
import { ConfigFolder } from "../../support/settings.ts";

const site = `
cluster: { context: here }
gpu_nodes: { selector: { pool: gpu } }
images: { training: registry.example.com/train:1 }
volumes:
  models: { kind: nfs, server: nas, path: /models, mount_path: /models }
  data: { kind: nfs, server: nas, path: /data, mount_path: /data }
`;
const experiment = `
model: { model_path: /models/Qwen3-30B-A3B-Instruct-2507 }
data: { train_index: /data/train.parquet, val_index: /data/val.parquet }
`;

function report(files: Record<string, string>): string[] {
  using folder = new ConfigFolder(false);
  folder.write("models.yaml", "{}").write("sites/lab.yaml", site);
  for (const [file, content] of Object.entries(files)) folder.write(file, content);
  try {
    folder.load();
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
}

describe("a stack's settings", () => {
  it("take every default that the file leaves open", () => {
    using folder = new ConfigFolder(false);
    folder.write("models.yaml", "{}").write("sites/lab.yaml", site).write("run.yaml", experiment);
    const { settings, warnings } = folder.load();
    expect(settings.experiment.vllm).toEqual({
      gen_tp: 4,
      max_model_length: 128000,
      gpu_memory_utilization: 0.85,
      max_num_seqs: 96,
      enforce_eager: false,
      dtype: "bfloat16",
      enable_chunked_prefill: true,
    });
    expect(settings.site.timeouts.rollout_minutes).toBe(45);
    expect(settings.modelFacts).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  it("merge mappings key by key along extends, and replace everything else", () => {
    using folder = new ConfigFolder(false);
    folder
      .write("models.yaml", "{}")
      .write("sites/lab.yaml", site)
      .write("base.yaml", `${experiment}vllm: { gen_tp: 2, max_num_seqs: 8 }`)
      .write("middle.yaml", "extends: base.yaml\nvllm: { gen_tp: 8 }")
      .write("run.yaml", "extends: middle.yaml\nvllm: { enforce_eager: true }");
    const { vllm } = folder.load().settings.experiment;
    expect([vllm.gen_tp, vllm.max_num_seqs, vllm.enforce_eager]).toEqual([8, 8, true]);
  });

  it("may be pasted from an original config.yaml, nested under runtime_info.input", () => {
    using folder = new ConfigFolder(false);
    folder
      .write("models.yaml", "{}")
      .write("sites/lab.yaml", site)
      .write(
        "run.yaml",
        `
meta_info: { name: rl }
runtime_info:
  input:
    model: { model_path: /models/m }
    data: { train_index: /data/t, val_index: /data/v }
    vllm: { gen_tp: 2 }
    environment: { venv_path: /venv, requirements: requirements.txt }
    k8s: { kubeconfig: ~/.kube/config, namespace: default }
    experiment: { exp_name: "", trajectory_logger_src: "" }
  output: { checkpoint_path: somewhere }
`,
      );
    const { settings, warnings, locate } = folder.load();
    expect(settings.experiment.vllm.gen_tp).toBe(2);
    expect(locate(["vllm", "gen_tp"])).toEqual({ file: "config/run.yaml", line: 7, column: 21 });
    expect(warnings.map(({ path }) => path.join("."))).toEqual([
      "meta_info",
      "runtime_info.output",
      "environment",
      "k8s.kubeconfig",
    ]);
  });

  it("know which model the catalogue describes", () => {
    using folder = new ConfigFolder();
    expect(folder.load({ stack: "single-node" }).settings.modelFacts?.kv_heads).toBe(4);
  });
});

describe("problems of settings", () => {
  it.each([
    [
      "a wrong type",
      "vllm: { gen_tp: four }",
      'config/run.yaml:4:17 vllm.gen_tp: must be a number; found "four"',
    ],
    [
      "a fraction",
      "vllm: { gen_tp: 1.5 }",
      "config/run.yaml:4:17 vllm.gen_tp: must be a whole number; found 1.5",
    ],
    [
      "a value below the range",
      "training: { sp_size: 0 }",
      "config/run.yaml:4:22 training.sp_size: must be at least 1; found 0",
    ],
    [
      "a value outside the choices",
      "algorithm: { adv_estimator: dpo }",
      'config/run.yaml:4:29 algorithm.adv_estimator: must be one of grpo, ppo; found "dpo"',
    ],
    [
      "a slip in a key",
      "vllm: { gen_pt: 4 }",
      "config/run.yaml:4:9 vllm.gen_pt: unknown setting; it would be ignored silently. Did you mean vllm.gen_tp?",
    ],
    [
      "a key in the wrong section",
      "vllm: { train_batch_size: 4 }",
      "config/run.yaml:4:9 vllm.train_batch_size: unknown setting; it would be ignored silently. It belongs into another section: training.train_batch_size.",
    ],
    [
      "an unknown section",
      "trianing: {}",
      "config/run.yaml:4:1 trianing: unknown setting; it would be ignored silently. Did you mean training?",
    ],
    [
      "a literal secret",
      "credentials: { wandb_api_key: abc }",
      "C-47 config/run.yaml:4:31 credentials.wandb_api_key: must not stand in a file; store it with: pulumi config set --secret swe-rl:wandbApiKey; found a value (not shown)",
    ],
    [
      "a section that is a list",
      "vllm: [1]",
      "config/run.yaml:4:7 vllm: must be a mapping; found a list",
    ],
    [
      "a number where a section belongs",
      "extends: 3",
      "config/run.yaml:4:10 extends: must be the name of a file, relative to this one, for example single-node.yaml",
    ],
  ])("name file, line, value and remedy: %s", (_case, yaml, expected) => {
    expect(report({ "run.yaml": experiment + yaml })).toEqual([expected]);
  });

  it("are all reported at once, those of the site too", () => {
    const lines = report({
      "run.yaml": "model: { model_path: relative }\nvllm: { gen_tp: x }",
      "sites/lab.yaml": `${site}cpu_nodes: 3\n`,
    });
    expect(lines).toEqual([
      "C-48 config/run.yaml:1:22 model.model_path: must be an absolute path without spaces or '..', as the training containers see it; found \"relative\"",
      "config/run.yaml:1:1 data: is required and not set",
      'config/run.yaml:2:17 vllm.gen_tp: must be a number; found "x"',
      "config/sites/lab.yaml:8:12 cpu_nodes: must be a mapping; found 3",
    ]);
  });

  it("point into the file of the chain that holds the value", () => {
    const lines = report({
      "base.yaml": `${experiment}vllm: { gen_tp: x }`,
      "run.yaml": "extends: base.yaml\ntraining: { sp_size: y }",
    });
    expect(lines).toEqual([
      'config/base.yaml:4:17 vllm.gen_tp: must be a number; found "x"',
      'config/run.yaml:2:22 training.sp_size: must be a number; found "y"',
    ]);
  });

  it.each([
    [
      "a circle",
      { "run.yaml": "extends: b.yaml", "b.yaml": "extends: run.yaml" },
      "config/b.yaml:1:10 extends: extends itself: config/run.yaml → config/b.yaml → config/run.yaml.",
    ],
    [
      "a missing base",
      { "run.yaml": "extends: nowhere.yaml" },
      "config/run.yaml:1:10 extends: config/nowhere.yaml does not exist",
    ],
    ["broken YAML", { "run.yaml": "a: [1\nb: 2" }, "config/run.yaml:2:1 not valid YAML"],
    [
      "a key twice",
      { "run.yaml": "tier: single-node\ntier: single-node" },
      "config/run.yaml:2:1 not valid YAML",
    ],
    [
      "a file that is a list",
      { "run.yaml": "- 1" },
      "config/run.yaml:1:1 must be a mapping of sections",
    ],
    [
      "no file at all",
      { "rum.yaml": "" },
      "config/run.yaml does not exist, so this stack has no experiment. Did you mean rum?",
    ],
    ["an empty file", { "run.yaml": "" }, "config/run.yaml:1:1 model: is required and not set"],
  ])("of the files themselves: %s", (_case, files, expected) => {
    expect(report(files)[0]).toContain(expected);
  });

  it("refuse a name that leads out of the folder", () => {
    using folder = new ConfigFolder();
    expect(() => folder.load({ experiment: "../secrets" })).toThrow(
      '"../secrets" is not the name of a file in config/ (setting swe-rl:experiment)',
    );
  });
});

describe("YAML that would blow up", () => {
  const laughs = Array.from({ length: 9 }, (_, i) =>
    i === 0
      ? "a0: &a0 [x, x]"
      : `a${i}: &a${i} [${Array<string>(9)
          .fill(`*a${i - 1}`)
          .join(", ")}]`,
  ).join("\n");

  it.each([
    ["aliases of aliases", laughs, /^config\/run\.yaml:\d+:\d+ stands for more than 20000 values/],
    ["an alias inside itself", "serving: &s [*s]", /run\.yaml:1:14 \*s stands inside what it/],
    ["an alias of nothing", "serving: *s", /run\.yaml:1:10 .*\*?s\b/],
    ["depth", `serving: ${"[".repeat(99)}${"]".repeat(99)}`, /is nested more than 40 levels deep/],
    ["bottomless depth", `x: ${"[".repeat(30_000)}`, /not valid YAML: /],
    ["length", `x: ${"y".repeat(1_000_001)}`, /run\.yaml:1:1 is longer than 1000000 characters/],
    ["a list as key", "? [a]\n: 1", /run\.yaml:1:3 a key must be a plain name/],
    ["the prototype as key", "__proto__: { tier: x }", /run\.yaml:1:1 __proto__ is not a setting/],
    ["an unknown tag", "tier: !mine x", /run\.yaml:1:7 .*!mine/],
    [
      "a set",
      "%YAML 1.1\n---\nserving: !!set { a }",
      /run\.yaml:3:16 the tag .*:set means nothing/,
    ],
  ])("is refused where it stands: %s", (_case, yaml, message) => {
    const lines = report({ "run.yaml": yaml });
    expect(lines.filter((line) => message.test(line)).length).toBeGreaterThan(0);
  });

  it("is not the case for a few anchors", () => {
    expect(
      report({ "run.yaml": `${experiment}vllm: { gen_tp: &n 4 }\ntraining: { sp_size: *n }` }),
    ).toEqual([]);
  });
});
