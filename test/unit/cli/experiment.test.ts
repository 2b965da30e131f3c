import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CommandError, UsageError } from "../../../cli/command.ts";
import { diffCommand } from "../../../cli/experiment/diff.ts";
import { listCommand } from "../../../cli/experiment/list.ts";
import { newCommand } from "../../../cli/experiment/new.ts";
import { showCommand } from "../../../cli/experiment/show.ts";
import { ConfigError } from "../../../config/load/problem.ts";
import { ConfigFolder, projectRoot } from "../../support/settings.ts";

const commands = { new: newCommand, list: listCommand, show: showCommand, diff: diffCommand };

/** Runs a command in a folder with the shipped configuration. */
function run(folder: ConfigFolder, ...[name, ...args]: [keyof typeof commands, ...string[]]) {
  return commands[name].run([...args, "--root", folder.root]);
}

function errorOf(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was refused");
}

describe("new", () => {
  it("writes what a person would write, and says how Pulumi goes on", () => {
    using folder = new ConfigFolder();
    const { output } = run(
      folder,
      ...(["new", "exp-42", "--from", "single-node"] as const),
      ...["--set", "training.train_batch_size=32", "--set", "algorithm.learning_rate=2.0e-6"],
      ...["--set", "training.train_prompt_mini_batch_size=32", "--set", "vllm.enforce_eager=true"],
      ...["--set", "verl.overrides.actor_rollout_ref.actor.grad_clip=0.5"],
      ...["--set", "experiment.exp_name="],
    );
    expect(readFileSync(`${folder.root}/config/exp-42.yaml`, "utf8")).toBe(
      `# yaml-language-server: $schema=schema.json
extends: single-node.yaml

training:
  train_batch_size: 32
  train_prompt_mini_batch_size: 32

algorithm:
  learning_rate: 2e-6

vllm:
  enforce_eager: true

verl:
  overrides:
    actor_rollout_ref.actor.grad_clip: 0.5

experiment:
  exp_name: ""
`,
    );
    expect(output.split("\n")).toEqual([
      "config/exp-42.yaml written. Next:",
      "  pulumi stack init exp-42",
      "  pulumi preview -s exp-42",
      "  pulumi up -s exp-42",
    ]);
    const { experiment } = folder.load({ stack: "exp-42" }).settings;
    expect(experiment.training.train_batch_size).toBe(32);
    expect(experiment.verl.overrides).toEqual({ "actor_rollout_ref.actor.grad_clip": 0.5 });
  });

  it("takes any experiment as base, and a site", () => {
    using folder = new ConfigFolder();
    const { output } = run(
      folder,
      ...(["new", "exp-43", "--from", "smoke.yaml", "--site", "example"] as const),
    );
    expect(readFileSync(`${folder.root}/config/exp-43.yaml`, "utf8")).toBe(
      "# yaml-language-server: $schema=schema.json\nextends: smoke.yaml\n",
    );
    expect(output.split("\n").slice(1)).toEqual([
      "  pulumi stack init exp-43",
      "  pulumi config set swe-rl:site example -s exp-43",
      "  pulumi config set --secret swe-rl:wandbApiKey -s exp-43   # asks for the value",
      "  pulumi preview -s exp-43",
      "  pulumi up -s exp-43",
    ]);
  });

  it.each([
    [
      "a slip in a key",
      "vllm.gen_pt=4",
      "config/exp-42.yaml:5:3 vllm.gen_pt: unknown setting; it would be ignored silently. Did you mean vllm.gen_tp?",
    ],
    [
      "a wrong value",
      "vllm.gen_tp=four",
      'config/exp-42.yaml:5:11 vllm.gen_tp: must be a number; found "four"',
    ],
    [
      "what only the Plan can refuse",
      "vllm.gen_tp=3",
      "config/exp-42.yaml:5:11 vllm.gen_tp: is 3, which does not divide",
    ],
    [
      "a secret, without showing it",
      "credentials.wandb_api_key=c0ffee",
      "pulumi config set --secret swe-rl:wandbApiKey; found a value (not shown)",
    ],
  ])("refuses %s as everywhere else, and writes nothing", (_case, assignment, expected) => {
    using folder = new ConfigFolder();
    const error = errorOf(() =>
      run(folder, "new", "exp-42", "--from", "single-node", "--set", assignment),
    );
    expect(error).toBeInstanceOf(CommandError);
    expect(error.message).toContain("config/exp-42.yaml is not written");
    expect(error.message).toContain(expected);
    expect(error.message).not.toContain("c0ffee");
    expect(existsSync(`${folder.root}/config/exp-42.yaml`)).toBe(false);
  });

  it.each([
    ["Exp_42", "cannot name a Kubernetes namespace"],
    ["x".repeat(56), "at most 55 fit"],
    ["../exp", "is not the name of a file in config/"],
  ])("refuses the name %s, which no stack can have", (name, expected) => {
    using folder = new ConfigFolder();
    const error = errorOf(() => run(folder, "new", name, "--from", "single-node"));
    expect(error.message).toContain(expected);
    expect(existsSync(`${folder.root}/config/${name}.yaml`)).toBe(false);
  });

  it("leaves an existing file alone", () => {
    using folder = new ConfigFolder();
    const before = readFileSync(`${folder.root}/config/smoke.yaml`, "utf8");
    expect(errorOf(() => run(folder, "new", "smoke", "--from", "single-node")).message).toBe(
      "config/smoke.yaml exists already, and is left as it is. Edit it, or choose another name.",
    );
    expect(readFileSync(`${folder.root}/config/smoke.yaml`, "utf8")).toBe(before);
  });

  it("knows what may be a base", () => {
    using folder = new ConfigFolder();
    const message = (base: string) =>
      errorOf(() => run(folder, "new", "exp-42", "--from", base)).message;
    expect(message("single-nod")).toContain("Did you mean single-node?");
    expect(message("models")).toContain("config/models.yaml is not an experiment.");
  });

  it.each([
    [["new", "exp-42"], "--from EXPERIMENT is missing."],
    [["new", "--from", "smoke"], "NAME is missing."],
    [["new", "a", "b", "--from", "smoke"], "Unexpected argument b."],
    [["new", "a", "--from", "smoke", "--set", "vllm.gen_tp"], "the form is key=value."],
    [["new", "a", "--from", "smoke", "--set", ".x=1"], "--set .x: a key has the form section.key."],
    [["new", "a", "--from", "smoke", "--set", "extends=b"], "--from says what to extend."],
    [["new", "a", "--from", "smoke", "--set", "vllm.gen_tp=[s3cret"], "not valid YAML."],
    [
      ["new", "a", "--from", "smoke", "--set", "a.b=1", "--set", "a.b=2"],
      "--set a.b is given twice.",
    ],
    [["new", "a", "--from", "smoke", "--set", "a=1", "--set", "a.b=2"], "not a mapping."],
    [["list", "--from", "smoke"], "Unknown option '--from'"],
    [["diff", "smoke"], "B is missing."],
  ] as [[keyof typeof commands, ...string[]], string][])(
    "calls %j wrong usage",
    (args, expected) => {
      using folder = new ConfigFolder();
      const error = errorOf(() => run(folder, ...args));
      expect(error).toBeInstanceOf(UsageError);
      expect(error.message).toContain(expected);
      expect(error.message).not.toContain("s3cret");
    },
  );
});

describe("list", () => {
  it("shows every experiment in a line, also those with problems", () => {
    using folder = new ConfigFolder();
    folder
      .write("broken.yaml", "a: [1\nb: 2")
      .write("wrong.yaml", "extends: smoke.yaml\nvllm: { gen_tp: 3, gen_pt: 1 }")
      .write("sum.yaml", "extends: smoke.yaml\nvllm: { gen_tp: 3 }")
      .write("hands.yaml", "extends: smoke.yaml\nharbor_agent: { scaffold: openhands }");
    const { output } = run(folder, "list");
    const row = (name: string) =>
      output
        .split("\n")
        .find((line) => line.startsWith(`${name} `))
        ?.split(/ {2,}/);
    const model = "Qwen3-30B-A3B-Instruct-2507";
    expect(row("NAME")?.slice(0, 4)).toEqual(["NAME", "EXTENDS", "TIER", "GPUS"]);
    expect(row("smoke")).toEqual([
      "smoke",
      "single-node.yaml",
      "single-node",
      "8",
      model,
      "claude-code",
      "8 × 4",
      "sound",
    ]);
    expect(row("single-node")?.slice(1, 3)).toEqual(["-", "single-node"]);
    expect(row("hands")?.[5]).toBe("openhands");
    expect(row("broken")?.at(-1)).toMatch(/problem/);
    expect(row("wrong")?.slice(1, 3)).toEqual(["smoke.yaml", "-"]);
    expect(row("wrong")?.at(-1)).toBe("1 problem");
    expect(row("sum")?.at(-1)).toBe("2 problems");
    expect(row("models")).toBeUndefined();
    expect(output).toContain("3 with problems; npm run -s plan -- NAME shows them.");
  });

  it("is JSON on demand", () => {
    using folder = new ConfigFolder();
    const rows = JSON.parse(run(folder, "list", "--json").output) as Record<string, unknown>[];
    expect(rows.find(({ name }) => name === "smoke")).toEqual({
      name: "smoke",
      extends: "single-node.yaml",
      tier: "single-node",
      gpus: 8,
      model: "Qwen3-30B-A3B-Instruct-2507",
      scaffold: "claude-code",
      batch: [8, 4],
      problems: 0,
    });
  });
});

describe("show", () => {
  it("names what differs from the defaults and where it stands along the chain", () => {
    using folder = new ConfigFolder();
    folder.write(
      "exp-42.yaml",
      "extends: smoke.yaml\nvllm:\n  gen_tp: 2\nenvironment: { WANDB_API_KEY: c0ffee }\nverl: { overrides: { a.b: true } }\n",
    );
    const { output, warnings } = run(folder, "show", "exp-42");
    const lines = output.split("\n").map((line) => line.trim().split(/ {2,}/).join(" | "));
    expect(lines).toContain("vllm.gen_tp | 2 | config/exp-42.yaml:3");
    expect(lines).toContain("smoke | true | config/smoke.yaml:4");
    expect(lines).toContain("verl.overrides.a.b | true | config/exp-42.yaml:5");
    expect(lines).toContain(
      "model.model_path | /models/Qwen3-30B-A3B-Instruct-2507 | config/single-node.yaml:6",
    );
    expect(output).not.toContain("sp_size"); // it stands in single-node.yaml, with the default
    expect(output).not.toContain("c0ffee");
    expect(output).toContain("4 servers × tensor parallel 2");
    expect(output).not.toContain("HARBOR_AGENT_NAME");
    expect(warnings.join("\n")).toContain("environment: has no effect");
  });

  it("plans for the site that is named", () => {
    using folder = new ConfigFolder();
    const { output } = run(folder, "show", "smoke", "--site", "example");
    expect(output).toContain("(site example)");
    expect(output).toContain("160 CPUs");
  });

  it("follows a stack's own file", () => {
    using folder = new ConfigFolder();
    mkdirSync(`${folder.root}/stacks`);
    writeFileSync(
      `${folder.root}/stacks/Pulumi.mine.yaml`,
      "config: { swe-rl:experiment: smoke }\n",
    );
    expect(run(folder, "show", "mine").output).toContain("mine-train");
  });
});

describe("diff", () => {
  const differences = (output: string) =>
    JSON.parse(output) as {
      differences: { decision: string; a?: string; b?: string; source?: string }[];
      names: string[];
    };

  it("lists decisions with both values and their source, and only counts names", () => {
    using folder = new ConfigFolder();
    const { output } = run(folder, "diff", "single-node", "smoke");
    expect(output).toMatch(/override trainer\.total_epochs +3 +1 +training\.total_epochs/);
    expect(output).toMatch(/batches\.trialsPerStep +512 +32/);
    expect(output).toMatch(/\d+ decisions differ\. \d+ more only follow from the names/);
    expect(output).not.toMatch(/smoke-train|fingerprint|rayNamespace/i);
  });

  it("tells a tier from a stack of the same name, and a run's own name from the stack's", () => {
    using folder = new ConfigFolder();
    folder.write("x.yaml", "extends: single-node.yaml\nexperiment: { exp_name: mine }\n");
    const compared = differences(run(folder, "diff", "single-node", "x", "--json").output);
    const named = compared.differences.find(({ decision }) =>
      decision.endsWith("trainer.experiment_name"),
    );
    expect(named).toEqual({
      decision: "override trainer.experiment_name",
      a: "single-node",
      b: "mine",
      source: "experiment.exp_name",
    });
    expect(compared.names).toContain("names.namespaces.train");
    expect(compared.differences.map(({ decision }) => decision)).not.toContain("topology.tier");
  });

  it("knows lists by the names in them, and what only one Plan has", () => {
    using folder = new ConfigFolder();
    folder
      .write("a.yaml", "extends: smoke.yaml\nstorage: { trials: { size: 2Ti } }\n")
      .write(
        "b.yaml",
        "extends: smoke.yaml\ndata: { data_dir: /data/x }\nalgorithm: { adv_estimator: ppo }\n",
      );
    const compared = differences(run(folder, "diff", "a", "b", "--json").output).differences;
    const of = (name: string) => compared.find(({ decision }) => decision === name);
    expect(of("storage.volumes[trials].size")).toMatchObject({ a: "2Ti", b: "1Ti" });
    expect(of("environment DATA_DIR")).toEqual({
      decision: "environment DATA_DIR",
      b: "/data/x",
      source: "data.data_dir",
    });
    expect(of("override critic.model.path")?.a).toBeUndefined();
    expect(of("override algorithm.adv_estimator")).toMatchObject({ a: "grpo", b: "gae" });
  });

  it("says so where nothing differs, and finds the same however often it is asked", () => {
    using folder = new ConfigFolder();
    folder.write("twin.yaml", "extends: smoke.yaml\n");
    const { output } = run(folder, "diff", "smoke", "twin");
    expect(output).toMatch(/^The Plans of smoke and twin do not differ\. \d+ more only follow/);
    expect(run(folder, "diff", "smoke", "smoke").output).toBe(
      "The Plans of smoke and smoke do not differ.",
    );
    expect(run(folder, "diff", "smoke", "twin").output).toBe(output);
  });

  it("shows no secret, only that there is one", () => {
    using folder = new ConfigFolder();
    const site = readFileSync(`${folder.root}/config/sites/lab.yaml`, "utf8");
    folder
      .write("sites/lab.yaml", site.replace("tracking: disabled", "tracking: allowed"))
      .write("offline.yaml", "extends: smoke.yaml\ncredentials: { wandb_mode: offline }\n");
    folder.write("own.yaml", "extends: smoke.yaml\nverl: { overrides: { a.api_key: c0ffee } }\n");
    const refused = errorOf(() => run(folder, "diff", "smoke", "own"));
    expect(refused.message).toContain("verl.overrides.a.api_key: looks like a credential");
    expect(refused.message).not.toContain("c0ffee");
    const { output } = run(folder, "diff", "offline", "smoke");
    expect(output).toMatch(
      /environment WANDB_API_KEY +- +\(secret: wandbApiKey\) +docs\/decisions\.md#c-10/,
    );
  });

  it("reports the problems of both", () => {
    using folder = new ConfigFolder();
    folder
      .write("a.yaml", "extends: smoke.yaml\nvllm: { gen_tp: x }\n")
      .write("b.yaml", "extends: smoke.yaml\nvllm: { gen_tp: y }\n");
    const error = errorOf(() => run(folder, "diff", "a", "b"));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/config\/a\.yaml:2:17[^\n]*\nconfig\/b\.yaml:2:17/);
  });
});

describe("npm run experiment", () => {
  const spawn = (...args: string[]) =>
    spawnSync(process.execPath, ["cli/experiment.ts", ...args], {
      cwd: projectRoot,
      encoding: "utf8",
    });

  it.each([
    [["--help"], 0, ["", "Commands:"]],
    [["new", "--help"], 0, ["", "Usage: npm run -s experiment -- new NAME"]],
    [["diff", "single-node", "smoke"], 0, ["", "decisions differ"]],
    [["show", "nowhere"], 1, ["config/nowhere.yaml does not exist", ""]],
    [["new", "smoke", "--from", "single-node"], 1, ["config/smoke.yaml exists already", ""]],
    [[], 2, ["The command is missing.", ""]],
    [["remove"], 2, ["There is no command remove.", ""]],
    [["list", "--jsn"], 2, ["Unknown option '--jsn'", ""]],
  ])("answers %j with exit code %i", (args, status, [stderr, stdout]) => {
    const result = spawn(...args);
    expect(result.status).toBe(status);
    expect(result.stderr).toContain(stderr);
    expect(result.stdout).toContain(stdout);
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });
});
