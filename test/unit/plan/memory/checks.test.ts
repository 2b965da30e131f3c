import { describe, expect, it } from "vitest";
import { summarize } from "../../../../plan/summary/index.ts";
import { judge, type Judged, ConfigFolder, planWith } from "../../../support/settings.ts";

const rules = new Set(["gpu-memory", "kv-cache", "host-memory", "checkpoint-size", "trials-size"]);

/** What the rules of memory say, as `severity rule path`. */
function said({ problems, warnings, unknowns }: Judged): string[] {
  const of = (severity: string, list: Judged["problems"]) =>
    list
      .filter(({ rule }) => rules.has(rule))
      .map(({ rule, path }) => `${severity} ${rule} ${path.join(".")}`);
  return [...of("fatal", problems), ...of("warn", warnings), ...of("unknown", unknowns)];
}

function onSite(gpuNodes: string, experiment = ""): Judged {
  using folder = new ConfigFolder();
  folder.write("sites/here.yaml", `extends: lab.yaml\ngpu_nodes: { ${gpuNodes} }`);
  folder.write("run.yaml", `extends: single-node.yaml\n${experiment}`);
  return judge(folder.load({ site: "here" }).settings);
}

describe("the shipped experiments on H200s", () => {
  it.each([
    "single-node",
    "single-node-dense",
    "single-node-stock",
    "smoke",
    "three-node",
    "three-node-stock",
    "three-node-veomni",
  ])("%s fits", (base) => {
    expect(said(planWith("", { base }))).toEqual([]);
  });

  it("two-node fits within the error of the estimate, with the loss that it assumes", () => {
    const judged = planWith("", { base: "two-node" });
    expect(said(judged)).toEqual(["warn gpu-memory training.max_response_length"]);
    expect(judged.warnings[0]?.message).toMatch(
      /about 131Gi of a GPU with 140Gi .*; assumed loss: the fork's, .* 1 × the logits; the estimate may be wrong by 10 %/,
    );
  });
});

describe("a run that does not fit its GPUs", () => {
  it("ends where it clearly does not, with the parts and a remedy", () => {
    const result = onSite("gpu_memory: 40Gi");
    expect(said(result)[0]).toBe("fatal gpu-memory training.max_response_length");
    expect(result.problems.find(({ rule }) => rule === "gpu-memory")?.message).toMatch(
      /^the actor needs about \d+Gi of a GPU with 40Gi \(weights \d+Gi, .*\); assumed loss: .*: out of memory, .*\. Shorten the window/,
    );
  });

  it("warns within the error of the estimate", () => {
    expect(said(onSite("gpu_memory: 80Gi"))).toEqual([
      "warn gpu-memory training.max_response_length",
    ]);
  });

  it("fits 88 GB with half the window", () => {
    const half = "training: { max_prompt_length: 20000, max_response_length: 34000 }";
    expect(said(onSite("gpu_memory: 88Gi", half))).toEqual([]);
  });

  it("is not known without the GPU's memory, or without the model's shapes", () => {
    using folder = new ConfigFolder();
    const lab =
      "cluster: { context: a }\ngpu_nodes: { selector: { a: b } }\nimages: { training: t:1 }";
    const volume = "{ kind: nfs, server: nas, path: /m, mount_path: ";
    folder.write(
      "sites/here.yaml",
      `${lab}\nvolumes: { models: ${volume} /models }, data: ${volume} /data } }`,
    );
    folder.write("run.yaml", "extends: single-node.yaml");
    expect(said(judge(folder.load({ site: "here" }).settings))).toEqual([
      "unknown gpu-memory site.gpu_nodes.gpu_memory",
    ]);
    const stranger = planWith(
      "model: { model_path: /models/Stranger }\nverl: { tool_call_parser: hermes }",
    );
    expect(said(stranger)).toEqual(["unknown gpu-memory model.model_path"]);
    expect(summarize(stranger.plan)).toContain("not known: config/models.yaml has no shapes");
  });
});

describe("what moves the estimate", () => {
  const gib = (yaml: string, base = "two-node") => {
    const { memory } = planWith(yaml, { base }).plan;
    const [actor] = memory?.roles ?? [];
    return { actor: actor?.peak, memory, total: (actor?.peak.bytes ?? NaN) / 2 ** 30 };
  };

  it.each([
    ["fused kernels", "training: { logits_copies: 0 }", 0],
    ["a plain cross entropy", "training: { logits_copies: 6 }", 6],
    ["the release's", "", 1],
    ["the release's with an entropy bonus", "algorithm: { entropy_coeff: 0.001 }", 3],
  ])("a stated loss: %s", (_what, yaml, copies) => {
    const { memory } = gib(yaml);
    expect(memory?.loss?.copies).toBe(copies);
  });

  it("a window beyond the GPU without the offload of activations, and within it with it", () => {
    const off = gib("training: { activation_offload: false }", "single-node-dense");
    const on = gib("", "single-node-dense");
    expect([Math.round(off.total), Math.round(on.total)]).toEqual([187, 124]);
    const inputs = (2 * 5120 * 104_000 * 62) / 2 ** 30;
    expect((off.actor?.parts.activations ?? 0) - (on.actor?.parts.activations ?? 0)).toBeCloseTo(
      inputs * 2 ** 30,
      -3,
    );
    // One input a layer and GPU, in powers of two: 1 GiB each.
    const host = (on.memory?.hostBytes ?? 0) - (off.memory?.hostBytes ?? 0);
    expect(host / 2 ** 30).toBe(63 * 8);
  });

  it("pinned memory comes in powers of two", () => {
    const more = "training: { max_prompt_length: 37000 }";
    const host = (yaml: string) => gib(yaml, "single-node-dense").memory?.hostBytes ?? 0;
    expect((host(more) - host("")) / 2 ** 30).toBe(63 * 8);
    const { problems } = planWith(more, { base: "single-node-dense" });
    expect(problems.map(({ rule }) => rule)).toEqual(["host-memory"]);
  });

  it("adapters: no gradients or moments of the rest, no reference of its own, small checkpoints", () => {
    const lora = "verl: { overrides: { actor_rollout_ref.model.lora_rank: 32 } }";
    const [full, adapters] = [gib(""), gib(lora)];
    expect(adapters.actor?.parts.gradients).toBeLessThan((full.actor?.parts.gradients ?? 0) / 20);
    expect(adapters.actor?.parts.optimizer).toBeLessThan((full.actor?.parts.optimizer ?? 0) / 20);
    expect(adapters.memory?.checkpointBytes).toBeLessThan(
      (full.memory?.checkpointBytes ?? 0) * 0.35,
    );
    expect(full.memory?.roles.map(({ role }) => role)).toContain("reference");
    expect(adapters.memory?.roles.map(({ role }) => role)).not.toContain("reference");
    expect(adapters.memory?.margin).toBe(0.25);
  });
});

describe("the checkpoint volume", () => {
  it.each([
    ["single-node", 3, 12],
    ["two-node", 2, 10],
    ["three-node", 2, 10],
    ["three-node-veomni", 3, 12],
  ])("of %s keeps %i of the %i that it has room for, through every restart", (base, keep, room) => {
    const { checkpoints, trainer } = planWith("", { base }).plan;
    expect(checkpoints).toMatchObject({ keep, room });
    expect(checkpoints.withRestarts).toBeLessThanOrEqual(room);
    for (const role of ["actor", "critic"]) {
      expect(trainer.argv).toContain(`trainer.max_${role}_ckpt_to_keep=${keep}`);
    }
  });

  it.each([
    ["all, with what it holds", "checkpoints_to_keep: all", /room for 12 .* full after step 60/],
    ["all, of a run that saves every step", "checkpoints_to_keep: all, save_freq: 1", /step 12/],
    ["more than restarts leave room for", "checkpoints_to_keep: 12", /3 restarts .* up to 48/],
  ])("warns of %s", (_what, training, message) => {
    const { problems, warnings } = planWith(`training: { ${training} }`);
    expect(problems).toEqual([]);
    expect(warnings.find(({ rule }) => rule === "checkpoint-size")?.message).toMatch(message);
  });

  it.each([
    ["as many as it has room for, without restarts", "checkpoints_to_keep: 12", 0],
    ["one, which has two until the older is deleted", "checkpoints_to_keep: 1", 3],
  ])("takes %s", (_what, training, restarts) => {
    const yaml = `training: { ${training} }\ntrainer: { max_restarts: ${restarts} }`;
    expect(said(planWith(yaml))).toEqual([]);
  });

  it("says in the summary when it is full", () => {
    const full = planWith("training: { checkpoints_to_keep: all }").plan;
    expect(summarize(full)).toContain("has room for 12 and is full after step 60");
    expect(summarize(planWith("").plan)).not.toContain("is full");
  });

  it("keeps two checkpoints of unknown size, and passes verl's own bound where all are kept", () => {
    const { plan } = planWith("model: { model_path: /models/Nobody-1B }");
    expect(plan.checkpoints).toMatchObject({ keep: 2, room: undefined });
    const { argv } = planWith("training: { checkpoints_to_keep: all }").plan.trainer;
    expect(argv).toContain("trainer.max_actor_ckpt_to_keep=null");
  });
});

describe("the rest of the memory", () => {
  it.each([
    [
      "a KV cache below one window",
      "vllm: { gpu_memory_utilization: 0.13 }",
      "fatal kv-cache vllm.gpu_memory_utilization",
    ],
    [
      "a share below the weights",
      "vllm: { gpu_memory_utilization: 0.05 }",
      "fatal kv-cache vllm.gpu_memory_utilization",
    ],
    [
      "a volume for one checkpoint",
      "storage: { checkpoints: { size: 600Gi } }",
      "fatal checkpoint-size storage.checkpoints.size",
    ],
    [
      "a volume for fewer than are kept",
      "training: { checkpoints_to_keep: 20 }",
      "fatal checkpoint-size storage.checkpoints.size",
    ],
  ])("refuses %s", (_what, yaml, expected) => {
    expect(said(planWith(yaml))).toEqual([expected]);
  });

  it("refuses a node whose memory does not hold what is offloaded", () => {
    expect(said(onSite("memory: 500Gi"))).toEqual(["fatal host-memory site.gpu_nodes.memory"]);
    expect(said(onSite("memory: 700Gi"))).toEqual([]);
  });

  it("has a line for the trainer that keeps its weights beside the server", () => {
    const kept = planWith("training: { actor_offload: false }").plan.memory?.roles;
    const freed = planWith("").plan.memory?.roles;
    const rollout = (roles: typeof kept) =>
      roles?.find(({ role }) => role === "rollout")?.peak.bytes;
    expect(rollout(kept)).toBeGreaterThan(rollout(freed) ?? NaN);
  });

  it("counts a critic beside the actor", () => {
    const roles = planWith("algorithm: { adv_estimator: ppo, use_kl_loss: true }").plan.memory
      ?.roles;
    expect(roles?.map(({ role }) => role)).toEqual([
      "actor",
      "reference",
      "critic",
      "rollout",
      "weight sync",
    ]);
  });

  it("has an estimate for every engine", () => {
    for (const yaml of [
      "verl: { engine: veomni }",
      "verl: { engine: megatron }\ntraining: { sp_size: 1, tp_size: 4, cp_size: 2, ep_size: 8 }",
    ]) {
      const { memory } = planWith(yaml).plan;
      expect(memory?.margin).toBe(0.25);
      expect(memory?.roles[0]?.peak.bytes).toBeGreaterThan(10 * 2 ** 30);
    }
  });
});

describe("the volume of the trials", () => {
  it("holds the records of 31 steps of single-node, if every trial uses its whole window", () => {
    const { trialRecords } = planWith("").plan;
    expect(Math.round((trialRecords?.perTrial ?? 0) / 2 ** 20)).toBe(64);
    expect(trialRecords?.steps).toBe(31);
    expect(summarize(planWith("").plan)).toContain("the trials' volume holds those of 31 steps");
  });

  it.each([
    ["a small volume", "storage: { trials: { size: 128Gi } }", /full after step 3, .* of step 5/],
    ["a late first checkpoint", "training: { save_freq: 40 }", /full after step 31, .* of step 40/],
    ["agents of many turns", "harbor_agent: { max_iterations: 800 }", /full after step 4,/],
    ["more trials", "training: { n_resp_per_prompt: 64 }", /full after step 3,/],
  ])("warns where it may be full before the first checkpoint: %s", (_what, yaml, message) => {
    const { warnings } = planWith(yaml);
    expect(warnings.find(({ rule }) => rule === "trials-size")?.message).toMatch(message);
  });

  it.each([
    ["no checkpoint is saved, and one step fits", "training: { save_freq: -1 }"],
    ["the agent loop writes what it writes", "proxy: { mode: in_process }"],
    ["the smoke batch on a small volume", "smoke: true\nstorage: { trials: { size: 128Gi } }"],
  ])("does not warn where %s", (_what, yaml) => {
    expect(said(planWith(yaml))).toEqual([]);
  });
});
