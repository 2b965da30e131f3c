import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { EnvironmentVariable } from "../../../plan/verl/index.ts";
import type { Plan } from "../../../plan/plan.ts";
import { judge, ConfigFolder, planWith, problemsOf } from "../../support/settings.ts";

function shipped(stack: string) {
  using folder = new ConfigFolder();
  return judge(folder.load({ stack }).settings);
}

const override = ({ trainer }: Plan, key: string) =>
  trainer.overrides.find((candidate) => candidate.key === key)?.value;

const variable = ({ trainer }: Plan, name: string): string | undefined => {
  const found = trainer.environment.find(
    (candidate: EnvironmentVariable) => candidate.name === name,
  );
  return found && "value" in found ? found.value : found && "<deferred>";
};

const twoNode = shipped("two-node");
const threeNode = shipped("three-node");
const veomni = shipped("three-node-veomni");

describe("the shipped asynchronous experiments", () => {
  it.each([twoNode, threeNode, veomni])("contradict nothing", ({ problems }) => {
    expect(problems).toEqual([]);
  });

  it("leave nothing open but what only the image can show", () => {
    expect([threeNode.warnings, threeNode.unknowns]).toEqual([[], []]);
    expect(twoNode.warnings.map(({ rule }) => rule)).toEqual(["gpu-memory"]);
    expect(twoNode.unknowns).toEqual([]);
    expect(veomni.warnings).toEqual([]);
    expect(veomni.unknowns.map(({ rule }) => rule)).toEqual(["C-50"]);
  });
});

describe("what the documents fix for each tier", () => {
  it.each([
    ["nodes", (p: Plan) => p.topology.gpuNodes, 2, 3],
    ["trainer nodes", (p: Plan) => p.topology.trainerNodes, 1, 2],
    ["rollout nodes", (p: Plan) => p.topology.rolloutNodes, 1, 1],
    ["trainer GPUs", (p: Plan) => p.topology.trainerGpus, 8, 16],
    ["rollout servers", (p: Plan) => p.topology.rolloutServers, 2, 2],
    ["tensor parallel", (p: Plan) => p.topology.tensorParallel, 4, 4],
    [
      "Ray groups",
      (p: Plan) => p.ray.groups.map((g) => `${g.name} ${g.replicas}`),
      ["train 1", "rollout 1"],
      ["train 2", "rollout 1"],
    ],
    ["mode", (p: Plan) => p.topology.mode, "async", "async"],
    ["engine", (p: Plan) => p.engine.name, "fsdp", "fsdp"],
    ["sequence parallel (D-08)", (p: Plan) => p.engine.sequenceParallel, 1, 1],
    ["sharding", (p: Plan) => p.engine.shardingSize, -1, 16],
    ["window", (p: Plan) => p.batches.windowTokens, 88_304, 131_072],
    ["prompt", (p: Plan) => p.batches.promptTokens, 30_000, 40_000],
    ["model length", (p: Plan) => p.batches.modelLength, 88_304, 131_072],
    ["trials of a step", (p: Plan) => p.batches.trialsPerStep, 512, 512],
    [
      "prompts in flight (2 servers × 32)",
      (p: Plan) => p.asyncTraining?.maxConcurrentSamples,
      64,
      64,
    ],
    ["queue (64 × 2 × 1)", (p: Plan) => p.asyncTraining?.maxQueuedSamples, 128, 128],
    ["staleness (D-28)", (p: Plan) => p.asyncTraining?.stalenessThreshold, 1, 1],
    ["steps between weight syncs (D-29)", (p: Plan) => p.asyncTraining?.parameterSyncSteps, 1, 1],
    [
      "workers (D-26)",
      (p: Plan) => override(p, "actor_rollout_ref.rollout.agent.num_workers"),
      16,
      16,
    ],
    ["quota for 512 trials + 25 %", (p: Plan) => p.sandboxes.pods, 640, 640],
    ["proxy (D-01)", (p: Plan) => p.proxy.mode, "in_process", "in_process"],
    ["scaffold", (p: Plan) => p.scaffold.name, "claude-code", "claude-code"],
    ["KL loss (D-20)", (p: Plan) => override(p, "actor_rollout_ref.actor.use_kl_loss"), true, true],
    ["save (D-21)", (p: Plan) => override(p, "trainer.save_freq"), 10, 10],
    ["validate first (D-21)", (p: Plan) => override(p, "trainer.val_before_train"), true, true],
    ["turns (D-22)", (p: Plan) => variable(p, "HARBOR_AGENT_MAX_ITERATIONS"), "200", "200"],
    [
      "set-up multiplier (D-22)",
      (p: Plan) => variable(p, "HARBOR_AGENT_SETUP_TIMEOUT_MULTIPLIER"),
      "5",
      "5",
    ],
    ["no-tool limit (D-22)", (p: Plan) => variable(p, "HARBOR_MAX_CONSECUTIVE_NO_TOOL"), "3", "3"],
    [
      "memory share",
      (p: Plan) => override(p, "actor_rollout_ref.rollout.gpu_memory_utilization"),
      0.85,
      0.85,
    ],
    [
      "optimizer in host memory",
      (p: Plan) => override(p, "actor_rollout_ref.actor.fsdp_config.optimizer_offload"),
      true,
      true,
    ],
    ["nodes of verl's trainer", (p: Plan) => override(p, "trainer.nnodes"), 1, 2],
    ["nodes of verl's rollout", (p: Plan) => override(p, "rollout.nnodes"), 1, 1],
    ["hybrid engine", (p: Plan) => override(p, "actor_rollout_ref.hybrid_engine"), false, false],
    ["prompts of a step in verl's words", (p: Plan) => override(p, "data.train_batch_size"), 0, 0],
    [
      "responses, asked for twice",
      (p: Plan) => [override(p, "rollout.n"), override(p, "actor_rollout_ref.rollout.n")],
      [8, 8],
      [8, 8],
    ],
    [
      "paths (D-03)",
      (p: Plan) => p.outputs.checkpoint_path.replace(p.names.stack, "<run>"),
      "/workspace/checkpoints/swe-lego-live-rl/<run>",
      "/workspace/checkpoints/swe-lego-live-rl/<run>",
    ],
    [
      "node variables",
      (p: Plan) => ["NNODES", "N_NODES_TRAIN", "N_NODES_ROLLOUT"].map((n) => variable(p, n)),
      ["2", "1", "1"],
      ["3", "2", "1"],
    ],
  ])("%s", (...row) => {
    const [, read, onTwoNodes, onThreeNodes] = row;
    expect(read(twoNode.plan)).toEqual(onTwoNodes);
    expect(read(threeNode.plan)).toEqual(onThreeNodes);
  });

  it("starts the fully asynchronous entry point", () => {
    expect(threeNode.plan.trainer.argv.slice(2, 5)).toEqual([
      "verl.experimental.fully_async_policy.fully_async_main",
      "--config-path=/workspace/src/verl_patch/config",
      "--config-name=lego_rl_fully_async_fsdp",
    ]);
  });

  it("has VeOmni with router replay and sequence parallelism for mixture-of-experts models", () => {
    expect(veomni.plan.engine).toMatchObject({
      name: "veomni",
      sequenceParallel: 4,
      routerReplay: "R3",
      dataParallel: 4,
    });
    expect(override(veomni.plan, "model_engine")).toBe("veomni");
    expect(veomni.plan.batches.tokensPerGpu).toBe(32_768);
    expect(variable(veomni.plan, "USE_NEW_VERL")).toBe("1");
  });
});

describe("an experiment that moves", () => {
  const on = (tier: string) =>
    planWith(`tier: ${tier}\ninfrastructure: {}\n`, { base: "single-node" });

  it.each(["single-node", "two-node", "three-node"])("to %s by one line", (tier) => {
    const { plan: moved, problems } = on(tier);
    expect(problems).toEqual([]);
    expect(moved.topology.tier).toBe(tier);
  });

  it("keeps its volumes, and its place on the checkpoint volume", () => {
    const [from, to] = [on("single-node").plan, on("three-node").plan];
    const claims = ({ storage }: Plan) =>
      storage.volumes.map(({ name, size, backing, removal }) => ({ name, size, backing, removal }));
    expect(claims(to)).toEqual(claims(from));
    const inside = ({ storage: { directories, volumes } }: Plan) =>
      directories.checkpoints.replace(volumes[0]?.mountPath ?? "", "");
    expect(inside(to)).toBe(inside(from));
  });

  it.each(["single-node", "two-node", "three-node"])("to a smoke batch on %s", (tier) => {
    const { plan: small, problems } = planWith(`tier: ${tier}\nsmoke: true`);
    expect(problems).toEqual([]);
    expect(small.batches).toMatchObject({ prompts: 8, trialsPerPrompt: 4, trialsPerStep: 32 });
  });
});

describe("asynchronous training", () => {
  const stock = "verl: { version: 0.9.1, distribution: stock }\nproxy: { mode: litellm }";

  it("has half as many prompts in flight with stock verl, which can be told otherwise", () => {
    const derived = planWith(stock, { base: "two-node" }).plan;
    expect(derived.asyncTraining).toMatchObject({
      maxConcurrentSamples: 32,
      concurrentSamplesPerServer: 16,
    });
    const told = planWith(`${stock}\nasync_training: { max_concurrent_samples: 80 }`, {
      base: "two-node",
    }).plan;
    expect(told.asyncTraining?.maxConcurrentSamples).toBe(80);
    expect(override(told, "async_training.concurrent_samples_per_replica")).toBe(40);
  });

  it("syncs weights less often when the trainer takes more at once", () => {
    const { asyncTraining } = planWith(
      "training: { train_batch_size: 64, train_prompt_mini_batch_size: 16 }\nasync_training: { require_batches: 2, staleness_threshold: 0.5 }",
      { base: "two-node" },
    ).plan;
    expect(asyncTraining).toMatchObject({
      requiredSamples: 32,
      parameterSyncSteps: 2,
      maxQueuedSamples: 96,
    });
  });

  it.each([
    [
      "in-flight prompts that nothing can be told",
      "async_training: { max_concurrent_samples: 40 }",
      /^async_training.max_concurrent_samples: is 40, but verl 0.8.0 \(fork\) derives it: 2 rollout servers × 32: /,
    ],
    [
      "batches that do not divide",
      "async_training: { require_batches: 3 }",
      /^async_training.require_batches: is 3, so that the trainer takes 192 prompts at once, which do not divide train_batch_size 64:/,
    ],
    [
      "a quota below what is in flight",
      "sandbox: { parallel_trials: 100 }",
      /^sandbox.parallel_trials: is 100, less than the 64 prompts in flight × 8 trials = 512/,
    ],
    [
      "node counts of another tier",
      "infrastructure: { nnodes: 3 }",
      /^infrastructure.nnodes: is 3, but the stack, of tier two-node, has 2: 1 of the trainer, 1 of the rollout/,
    ],
    [
      "Ulysses on hybrid attention",
      "training: { sp_size: 4 }",
      /^training.sp_size: is 4, but this model mixes kinds of attention: Ulysses corrupts/,
    ],
    [
      "a range of ports that collides",
      "infrastructure: { ray_port: 41000 }",
      /^infrastructure.ray_port: port 41000 of Ray's control store lies in the range 40000-49999/,
    ],
    [
      "sizes of another engine",
      "training: { tp_size: 2 }",
      /^training.tp_size: is 2, which the engine fsdp does not have/,
    ],
    [
      "sizes that do not divide",
      "verl: { engine: megatron }\ntraining: { tp_size: 2, pp_size: 2, cp_size: 4 }",
      /^training.tp_size: gives tp_size 2 × pp_size 2 × cp_size 4 = 16, which does not divide the 8 trainer GPUs/,
    ],
    [
      "replay without experts",
      "model: { model_path: /models/Qwen3.6-27B }\nverl: { router_replay: R3 }\ntraining: { max_response_length: 10000 }",
      /^verl.router_replay: is R3, but the model has no experts/,
    ],
    [
      "replay that the engine does not have",
      "verl: { router_replay: R3, distribution: stock, version: 0.9.1 }\nproxy: { mode: litellm }",
      /^verl.router_replay: is R3, but stock verl has no replay for the engine fsdp/,
    ],
    [
      "a configuration of the fork for stock verl",
      "verl: { distribution: stock, version: 0.9.1, config_name: mine }\nproxy: { mode: litellm }",
      /^verl.config_name: is mine, a configuration of the fork/,
    ],
  ])("refuses %s", (_what, yaml, message) => {
    const found = problemsOf(planWith(yaml, { base: "two-node" }));
    expect(found).toEqual([expect.stringMatching(message) as string]);
  });

  it.each([
    [
      "a window that one trainer node cannot hold",
      "training: { max_prompt_length: 40000, max_response_length: 91072 }",
      "two-node",
      "training.max_response_length",
    ],
    [
      "less sharding than the window needs",
      "training: { fsdp_size: 8 }",
      "three-node",
      "training.fsdp_size",
    ],
    [
      "an optimizer on the GPUs",
      "training: { actor_offload: false }",
      "three-node",
      "training.actor_offload",
    ],
    [
      "experts without replay",
      "verl: { router_replay: disabled }",
      "three-node",
      "verl.router_replay",
    ],
  ])("warns of %s", (...row) => {
    const [, yaml, base, path] = row;
    const { problems, warnings } = planWith(yaml, { base });
    // The first two overflow the GPUs, too: unit/plan/memory says so.
    expect(problems.filter(({ rule }) => rule !== "gpu-memory")).toEqual([]);
    expect(warnings.map((warning) => warning.path.join("."))).toContain(path);
  });

  it.each([
    ["host_path", "kind: host_path, path: /srv/x"],
    ["ReadWriteOnce", "kind: claim, access_mode: ReadWriteOnce"],
  ])("refuses to scatter checkpoints over nodes: %s", (_what, backing) => {
    using folder = new ConfigFolder();
    const text = readFileSync(join(folder.root, "config/sites/lab.yaml"), "utf8");
    folder.write(
      "sites/mine.yaml",
      text.replace("{ kind: claim, storage_class: swe-rl-lab }", `{ ${backing} }`),
    );
    folder.write("run.yaml", "extends: two-node.yaml");
    const found = problemsOf(judge(folder.load({ site: "mine" }).settings));
    expect(found).toEqual([expect.stringContaining("but the stack has 2 GPU nodes") as string]);
  });
});

describe("nodes by role", () => {
  const planned = (base: string, yaml: string) => {
    const { plan, problems, warnings } = planWith(yaml, { base });
    const { topology, ray, trainer, proxy, gpuDemand } = plan;
    const argument = (key: string) =>
      trainer.argv.find((one) => one.startsWith(`${key}=`))?.split("=")[1];
    return {
      problems: problems.map(({ rule }) => rule),
      warnings: warnings.map(({ rule }) => rule),
      groups: ray.groups.map(({ name, replicas }) => `${name} ${replicas}`),
      servers: [topology.rolloutServers, plan.policyCheck.rolloutServers],
      verl: [argument("trainer.nnodes"), argument("rollout.nnodes")],
      gpuNodes: gpuDemand.nodes,
      entries: proxy.mode === "litellm" ? proxy.litellm.model_list.length : undefined,
    };
  };

  it("synchronous training on two nodes: four servers, all of them discovered", () => {
    expect(planned("single-node", "infrastructure: { trainer_nodes: 2 }")).toEqual({
      problems: [],
      warnings: ["C-15", "nodes-untried"],
      groups: ["train 2"],
      servers: [4, 4],
      verl: ["2", undefined],
      gpuNodes: 2,
      entries: 8,
    });
  });

  it("asynchronous training on 2 + 2", () => {
    const nodes = "infrastructure: { trainer_nodes: 2, rollout_nodes: 2 }";
    const found = planned("two-node", `${nodes}\nsandbox: { parallel_trials: 1024 }`);
    expect(found).toMatchObject({
      problems: [],
      warnings: ["nodes-untried"],
      groups: ["train 2", "rollout 2"],
      servers: [4, 4],
      verl: ["2", "2"],
      gpuNodes: 4,
    });
  });

  it("asynchronous training on 1 + 3, and the trials of six servers need their quota", () => {
    const found = planned("two-node", "infrastructure: { rollout_nodes: 3 }");
    expect(found.problems).toEqual(["sandbox-quota"]);
    expect(found.groups).toEqual(["train 1", "rollout 3"]);
  });

  it("the tier's own numbers are as if nothing were written", () => {
    const own = "infrastructure: { trainer_nodes: 2, rollout_nodes: 1 }";
    expect(planned("three-node", own)).toEqual(planned("three-node", ""));
    expect(planned("two-node", own)).toMatchObject({
      warnings: [],
      groups: ["train 2", "rollout 1"],
    });
  });

  it("several nodes need volumes that all of them see", () => {
    const { plan } = planWith("infrastructure: { trainer_nodes: 2 }", { base: "single-node" });
    expect(plan.topology.gpuNodes).toBe(2);
    const site = "storage: { checkpoints: { access_mode: ReadWriteOnce } }";
    using folder = new ConfigFolder();
    folder.write("sites/here.yaml", `extends: lab.yaml\n${site}`);
    folder.write("run.yaml", "extends: single-node.yaml\ninfrastructure: { trainer_nodes: 2 }");
    const { problems } = judge(folder.load({ site: "here" }).settings);
    expect(problems.map(({ rule }) => rule)).toContain("shared-volume");
  });
});
