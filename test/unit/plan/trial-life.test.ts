import { describe, expect, it } from "vitest";
import { planWith, problemsOf } from "../../support/settings.ts";

const lifeWith = (yaml: string, base = "single-node") =>
  planWith(yaml, { base }).plan.sandboxes.life;

describe("the longest life of a trial", () => {
  it.each([
    ["single-node", { longest: 4560, deadline: 6000 }, { longest: 8160, deadline: 9000 }],
    ["two-node", { longest: 6000, deadline: 6000 }, { longest: 9600, deadline: 9600 }],
    ["three-node-veomni", { longest: 6000, deadline: 6000 }, { longest: 9600, deadline: 9600 }],
  ])("of %s fits the pod's deadline", (base, training, validation) => {
    expect(lifeWith("", base)).toMatchObject({ training, validation });
  });

  it.each([
    ["the agent's multiplier", "harbor_agent: { agent_timeout_multiplier: 4 }", { agent: 9600 }],
    [
      "the smaller of base and cap",
      "harbor_agent: { override_timeout_sec: 600, agent_timeout_multiplier: 2 }",
      { agent: 1200 },
    ],
    ["the verifier's", "harbor_agent: { verifier_timeout_multiplier: 3 }", { verifier: 1800 }],
    ["no verifier", "harbor_agent: { verifier_enabled: false }", { verifier: 0 }],
    ["set-up's", "harbor_agent: { agent_setup_timeout_multiplier: 1.5 }", { setup: 540 }],
    ["a longer start", "k8s: { pod_startup_timeout: 5000 }", { start: 5000, longest: 8360 }],
  ])("knows %s", (_what, yaml, phases) => {
    const { training } = lifeWith(yaml);
    expect(training).toMatchObject(phases);
    expect(training.deadline).toBe(Math.max(6000, training.longest));
    const broken = planWith(yaml).problems.map(({ rule }) => rule);
    expect(broken).not.toContain("sandbox-deadline");
  });

  it("refuses a deadline below what runs, and warns of one for late starters", () => {
    const judged = (seconds: number) =>
      planWith(
        `k8s: { pod_active_deadline_seconds: ${seconds} }\nharbor_agent: { agent_timeout_multiplier: 2 }`,
      );
    expect(problemsOf(judged(5759))).toEqual([
      "k8s.pod_active_deadline_seconds: is 5759 s, but a trial may take 5760 s (set-up 360, agent 4800, verifier 600): Kubernetes ends sandboxes before their verifier has run. Leave it out, or choose at least 6960.",
    ]);
    const late = judged(6959);
    expect(late.problems).toEqual([]);
    expect(late.warnings.map(({ rule }) => rule)).toContain("sandbox-deadline");
    expect(judged(6960).warnings.map(({ rule }) => rule)).not.toContain("sandbox-deadline");
  });

  it("reaches the trainer's environment", () => {
    const { environment } = planWith("harbor_agent: { agent_timeout_multiplier: 4 }").plan.trainer;
    const value = (name: string) => environment.find((variable) => variable.name === name);
    expect(value("K8S_POD_ACTIVE_DEADLINE_SECONDS")).toMatchObject({ value: "11760" });
    expect(value("K8S_VAL_POD_ACTIVE_DEADLINE_SECONDS")).toMatchObject({ value: "22560" });
  });
});
