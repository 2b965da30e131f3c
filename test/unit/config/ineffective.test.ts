import { describe, expect, it } from "vitest";
import { planWith, settingsWith } from "../../support/settings.ts";

const warned = (yaml: string, base = "single-node") =>
  settingsWith(yaml, { base }).warnings.map(({ path, message }) => [path.join("."), message]);

const stock = "verl: { distribution: stock }";

describe("a setting without effect beside others", () => {
  it.each([
    ["async_training: { staleness_threshold: 2 }", "single-node", "async_training"],
    ["algorithm: { trajectory_filter: { enable: true } }", "single-node", "trajectory_filter"],
    [
      `async_training: { validation_rollout_min_idle_workers: 4 }\n${stock}`,
      "two-node",
      "validation_rollout_min_idle_workers",
    ],
    ["algorithm: { kl_loss_coef: 0.01 }", "single-node", "kl_loss_coef"],
    ["algorithm: { kl_loss_type: k3 }", "single-node", "kl_loss_type"],
    ["training: { ref_offload: false }", "single-node", "ref_offload"],
    ["algorithm: { rollout_is_threshold: 3 }", "single-node", "rollout_is_threshold"],
    ["harbor_runtime: { tail_kill_grace_sec: 60 }", "single-node", "tail_kill_grace_sec"],
    [
      "training: { activation_offload: true }\nverl: { engine: megatron }",
      "two-node",
      "activation_offload",
    ],
    ["training: { logits_copies: 2 }\nverl: { engine: megatron }", "two-node", "logits_copies"],
    ["proxy: { replicas: 4 }", "two-node", "proxy.replicas"],
    ["training: { test_freq: -1, val_batch_size: 8 }", "single-node", "val_batch_size"],
  ])("is warned of: %s on %s", (yaml, base, path) => {
    const found = warned(yaml, base);
    expect(found).toHaveLength(1);
    expect(found[0]?.[0]).toContain(path);
    expect(found[0]?.[1]).toMatch(/^has no effect: /);
  });

  it.each([
    ["async_training: { staleness_threshold: 2 }", "two-node"],
    ["algorithm: { trajectory_filter: { enable: true } }", "two-node"],
    ["algorithm: { trajectory_filter: { enable: false } }", "single-node"],
    [`algorithm: { trajectory_filter: { enable: true } }\n${stock}`, "single-node"],
    ["algorithm: { use_kl_loss: true, kl_loss_coef: 0.01 }", "single-node"],
    ["algorithm: { kl_loss_coef: 0.001 }", "single-node"],
    ["algorithm: { rollout_is: token, rollout_is_threshold: 3 }", "single-node"],
    ["harbor_runtime: { tail_kill_target: 0.95, tail_kill_grace_sec: 60 }", "single-node"],
    ["proxy: { mode: litellm, replicas: 4 }", "two-node"],
  ])("is not where it has one: %s on %s", (yaml, base) => {
    expect(warned(yaml, base)).toEqual([]);
  });
});

describe("what nobody knows of a model", () => {
  it("is unknown, whatever parser is named", () => {
    const { unknowns } = planWith(
      "model: { model_path: /models/Nobody-1B }\nverl: { tool_call_parser: hermes }",
    );
    const rules = unknowns.map(({ rule }) => rule);
    expect(rules).toEqual(expect.arrayContaining(["C-01", "C-15", "C-22", "model-window"]));
  });

  it("is refused where vLLM has no such parser, with the nearest", () => {
    const { problems } = planWith("verl: { tool_call_parser: qwen3_codr }");
    const found = problems.find(({ rule }) => rule === "tool-parser-known");
    expect(found?.message).toContain("Did you mean qwen3_coder?");
  });
});
