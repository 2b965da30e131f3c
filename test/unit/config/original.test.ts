import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { describe, expect, it } from "vitest";
import { ConfigError, describeProblem } from "../../../config/load/problem.ts";
import { contract } from "../../support/contract.ts";
import { judge, ConfigFolder, projectRoot } from "../../support/settings.ts";

/** A complete file of the original system, and its input alone as one would paste it. */
const nested = readFileSync(join(projectRoot, "test/fixtures/original-config.yaml"), "utf8");
const flat = nested
  .slice(nested.indexOf("    model:"), nested.indexOf("\n  output:"))
  .replaceAll(/^ {4}/gm, "");

function load(yaml: string) {
  using folder = new ConfigFolder();
  return folder.write("single-node.yaml", yaml).load({ stack: "single-node" });
}

const warningsOf = (yaml: string) => load(yaml).warnings.map(describeProblem);
const lineOf = (yaml: string, key: string) =>
  yaml.split("\n").findIndex((line) => line.trimStart().startsWith(key)) + 1;

describe("a complete config.yaml of the original system", () => {
  it("has every key of the contract", () => {
    const sections = parse(flat) as Record<string, Record<string, unknown>>;
    const keys = Object.entries(sections).flatMap(([section, inner]) =>
      Object.keys(inner).map((key) => `${section}.${key}`),
    );
    expect(contract.filter((key) => !keys.includes(key))).toEqual([]);
    expect(keys.filter((key) => !contract.includes(key))).toEqual([
      "environment.bootstrap",
      "environment.requirements",
    ]);
  });

  it.each([
    ["nested under runtime_info.input", nested],
    ["as its input alone", flat],
  ])("gives the Plan of config/single-node.yaml with the same values: %s", (_form, yaml) => {
    using folder = new ConfigFolder();
    folder.write("same.yaml", "extends: single-node.yaml\ndata: { data_dir: /data/harbor_tasks }");
    const shipped = judge(folder.load({ stack: "single-node", experiment: "same" }).settings);
    const original = judge(load(yaml).settings);
    expect(original.problems).toEqual([]);
    expect(original.plan).toEqual(shipped.plan);
  });

  it("warns of what has no effect here, and says why", () => {
    const at = (key: string, column: number) =>
      `config/single-node.yaml:${lineOf(nested, key)}:${column}`;
    expect(warningsOf(nested)).toEqual([
      `${at("name: rl", 3)} meta_info: has no effect: describes a block of the original pipeline`,
      `${at("checkpoint_path:", 5)} runtime_info.output: has no effect: outputs are fixed; \`pulumi stack output\` shows them`,
      `${at("bootstrap:", 7)} environment: has no effect: the training image brings its Python environment (site: images.training)`,
      `${at("kubeconfig:", 19)} k8s.kubeconfig: has no effect: the site names the cluster (cluster.context)`,
      `${at("node0_ip:", 17)} infrastructure.node0_ip: has no effect: KubeRay gives the head its address`,
      `${at("trajectory_logger_src:", 30)} experiment.trajectory_logger_src: has no effect: the proxy brings its own trajectory recorder`,
    ]);
    expect(warningsOf(flat).map((line) => line.split(" ")[1])).toEqual([
      "environment:",
      "k8s.kubeconfig:",
      "infrastructure.node0_ip:",
      "experiment.trajectory_logger_src:",
    ]);
  });

  it("may carry its meta_info without the nesting", () => {
    const [first] = load(`${flat}\nmeta_info: { name: rl, resources: { gpu: 8 } }\n`).warnings;
    expect(first?.path).toEqual(["meta_info"]);
  });

  it.each([
    ["nested", nested],
    ["flat", flat],
  ])("is refused with a real tracker key, which no message shows: %s", (_form, yaml) => {
    const key = "0123456789abcdef0123456789abcdef01234567";
    const leaking = yaml.replace('wandb_api_key: ""', `wandb_api_key: ${key}`);
    const message = messageOf(() => load(leaking));
    expect(message).toBe(
      `C-47 config/single-node.yaml:${lineOf(leaking, "wandb_api_key:")}:${yaml === nested ? 22 : 18} ` +
        "credentials.wandb_api_key: must not stand in a file; store it with: " +
        "pulumi config set --secret swe-rl:wandbApiKey; found a value (not shown)",
    );
    expect(message).not.toContain(key.slice(0, 8));
  });
});

describe("a key without a value", () => {
  it("takes the default, as the original does, unless null means something", () => {
    const { experiment } = load(
      flat
        .replace("gen_tp: 4", "gen_tp:")
        .replace("agent_name: claude-code", "agent_name: null")
        .replace(/harbor_runtime:\n(.+\n)+/, "harbor_runtime:\n"),
    ).settings;
    expect(experiment.vllm.gen_tp).toBe(4);
    expect(experiment.harbor_agent.agent_name).toBeNull();
    expect(experiment.harbor_runtime.num_workers).toBe(16);
  });

  it("leaves the base as it is", () => {
    using folder = new ConfigFolder();
    folder
      .write("base.yaml", "extends: single-node.yaml\nvllm: { gen_tp: 2, max_num_seqs: 8 }\n")
      .write("run.yaml", "extends: base.yaml\nvllm: { gen_tp: }\ntraining:\n  # sp_size: 2\n")
      .write("other.yaml", "extends: base.yaml\nvllm:\n");
    const { vllm, training } = folder.load().settings.experiment;
    expect([vllm.gen_tp, vllm.max_num_seqs, training.train_batch_size]).toEqual([2, 8, 64]);
    expect(folder.load({ experiment: "other" }).settings.experiment.vllm.gen_tp).toBe(2);
  });

  it("is missing where there is no default", () => {
    const line = lineOf(flat, "train_index:");
    expect(messageOf(() => load(flat.replace(/train_index: .*/, "train_index:")))).toBe(
      `config/single-node.yaml:${line}:15 data.train_index: is required and not set`,
    );
  });
});

function messageOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error("nothing was refused");
}
