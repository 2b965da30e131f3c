/** Proxy mode `in_process`: which ports sandboxes may open, and what the loop is told. */
import { describe, expect, it } from "vitest";
import { plan } from "../../../plan/plan.ts";
import { planWith, problemsOf, settingsWith } from "../../support/settings.ts";

const own = (yaml = "") => plan(settingsWith(yaml, { base: "two-node-stock" }).settings);
const flowOf = ({ flows }: ReturnType<typeof plan>) =>
  flows.find(({ name }) => name === "sandboxes-to-agent-loops");
const variable = ({ trainer }: ReturnType<typeof plan>, name: string) =>
  trainer.environment.find((one) => one.name === name);

describe("proxy mode in_process with our own loop", () => {
  it("opens one port for every agent-loop worker, and none of the rollout servers", () => {
    const decided = own("harbor_runtime: { num_workers: 32 }");
    expect(decided.proxy).toEqual({
      mode: "in_process",
      ports: { from: 8100, to: 8131 },
      isKeyed: true,
    });
    expect(flowOf(decided)?.ports).toEqual([{ protocol: "TCP", from: 8100, to: 8131 }]);
    expect(decided.isolation.allowedPort).toBe(8100);
    expect(decided.ray.ports.ephemeral.from).toBeGreaterThan(8131);
  });

  it("tells the loop its ports and verl's name of the parser, and no proxy", () => {
    const decided = own();
    expect(variable(decided, "SWE_RL_POLICY_PORTS")).toMatchObject({ value: "8100-8115" });
    expect(variable(decided, "SWE_RL_TOOL_PARSER")).toMatchObject({ value: "qwen3_coder" });
    expect(variable(decided, "SWE_RL_PROXY_URL")).toBeUndefined();
    expect(variable(decided, "SWE_RL_PROXY_KEY")).toBeUndefined();
    const glm = own("verl: { tool_call_parser: glm45 }");
    expect(variable(glm, "SWE_RL_TOOL_PARSER")).toMatchObject({ value: "glm" });
  });

  it("makes verl's asynchronous trainer take the loop of several turns", () => {
    const key = "actor_rollout_ref.rollout.multi_turn.enable";
    const of = (base: string) =>
      plan(settingsWith("", { base }).settings).trainer.overrides.find(
        (override) => override.key === key,
      )?.value;
    expect(of("two-node-stock")).toBe(true);
    expect(of("two-node")).toBeUndefined();
  });

  it("refuses a format of tool calls that verl itself cannot read", () => {
    const problems = (parser: string) =>
      problemsOf(planWith(`verl: { tool_call_parser: ${parser} }`, { base: "two-node-stock" }));
    const refusal = "proxy.mode: is in_process, and verl itself has no parser";
    const refuses = (parser: string) => problems(parser).some((one) => one.startsWith(refusal));
    expect(refuses("mistral")).toBe(true);
    expect(refuses("glm45")).toBe(false);
  });

  it("says what it costs", () => {
    expect(own().proxyCost).toContain("ports 8100 to 8115 of the GPU pods, each with the key");
  });
});

describe("proxy mode in_process with the fork's loop", () => {
  it("opens the whole range from which its workers' ports come", () => {
    const decided = plan(settingsWith("", { base: "two-node" }).settings);
    const { from, to } = decided.ray.ports.ephemeral;
    expect(decided.proxy).toEqual({ mode: "in_process", ports: { from, to }, isKeyed: false });
    expect(flowOf(decided)?.ports).toEqual([{ protocol: "TCP", from, to }]);
  });
});
