import { describe, expect, it } from "vitest";
import type { Finding } from "../../../rules/finding.ts";
import { broken, met, unknown } from "../../../rules/finding.ts";
import { isFatal } from "../../../preflight/evaluate.ts";
import { reportAsJson } from "../../../preflight/report-json.ts";
import { count, report } from "../../../preflight/report.ts";
import { findingsFor } from "../../support/rules/raised.ts";

const of = (yaml: string) => findingsFor({ breaks: [], meets: "" }, yaml);
const settingsOnly = (findings: readonly Finding[]) =>
  findings.filter(
    ({ id, severity, found }) =>
      severity !== "ok" &&
      id !== "C-15" &&
      id !== "inputs" &&
      !found.includes("the cluster was not asked"),
  );

describe("the report", () => {
  const findings: Finding[] = [
    met("cluster-reachable", "v1.34.4"),
    unknown("storage-class", "this user may not read it (403)", "storage class fast"),
    { ...broken("gpu-nodes", { found: "1 of 2 nodes fit" }), waived: "a node is on its way" },
    broken("C-41", {
      found: "is 0.7, but algorithm.temperature is 1",
      path: ["harbor_agent", "temperature"],
      location: { file: "config/run.yaml", line: 2, column: 30 },
    }),
    broken("kuberay-installed", { found: "no RayCluster kind", remedy: "install it" }),
  ];

  it("gives checks that could not be made for one reason one line, from three on", () => {
    const of = (count: number) =>
      report(
        (["gpu-free", "quota", "rights"] as const).slice(0, count).map((id) => unknown(id, "away")),
      );
    expect(of(2).split("\n")).toHaveLength(3);
    expect(of(3).split("\n")).toEqual([
      "preflight: 0 ok, 0 warnings, 0 fatal, 3 unknown",
      "  unknown  3 checks: not known: away (gpu-free, quota, rights)",
    ]);
    const waived = (["gpu-free", "quota", "rights"] as const).map((id) => ({
      ...unknown(id, "away"),
      waived: "looked myself",
    }));
    expect(report(waived).match(/\(waived: looked myself\)/g)).toHaveLength(3);
  });

  it("counts, then shows what is not all right, the worst first", () => {
    expect(report(findings).split("\n")).toEqual([
      "preflight: 1 ok, 1 warnings, 1 fatal, 1 unknown, 1 waived",
      "  fatal    kuberay-installed: no RayCluster kind; expected KubeRay 1.6 or newer, whose RayCluster is served as ray.io/v1. Otherwise: the Ray cluster could not be created. To do: install it",
      "  warn     C-41: config/run.yaml:2:30 harbor_agent.temperature: is 0.7, but algorithm.temperature is 1: log-probabilities are taken off the sampled distribution. Set harbor_agent.temperature to algorithm.temperature.",
      "  unknown  storage-class: not known: this user may not read it (403); expected storage class fast",
      "  waived   gpu-nodes: 1 of 2 nodes fit; expected as many ready nodes with the GPUs and labels as the tier has. Otherwise: the workers would wait for a node until the rollout budget is spent. To do: check gpu_nodes.selector in the site file, and with kubectl describe node: labels, readiness, the GPU device plugin (waived: a node is on its way)",
    ]);
    expect(report([met("cluster-reachable", "v1.34.4")])).toBe(
      "preflight: 1 ok, 0 warnings, 0 fatal, 0 unknown",
    );
  });

  it("has for programs every key of every finding", () => {
    const isolation = "unproven: simulated nodes";
    expect(
      reportAsJson({ stack: "run", site: "lab", findings: findings.slice(3, 4), isolation }),
    ).toEqual({
      stack: "run",
      site: "lab",
      counts: { ok: 0, warn: 1, fatal: 0, unknown: 0, waived: 0 },
      findings: [
        {
          rule: "C-41",
          severity: "warn",
          waived: null,
          setting: "harbor_agent.temperature",
          file: "config/run.yaml",
          line: 2,
          column: 30,
          found: "is 0.7, but algorithm.temperature is 1",
          expected: "agents sample at the rollout's temperature",
          consequence: "log-probabilities are taken off the sampled distribution",
          remedy: "set harbor_agent.temperature to algorithm.temperature",
          source: "docs/decisions.md#c-41",
        },
      ],
      isolation,
    });
  });

  it("shows all that is wrong with the settings at once, each with its place", async () => {
    const found = await of(
      "vllm: { gen_tp: 3 }\nray: { version: 2.40.0 }\ninfrastructure: { nnodes: 2 }",
    );
    const places = found.filter(isFatal).map(({ id, location }) => [id, location?.line]);
    expect(places).toEqual([
      ["C-01", 2],
      ["C-02", 2],
      ["C-11", 4],
      ["ray-token", 3],
    ]);
    for (const { location } of found.filter(isFatal)) {
      expect(location?.file).toBe("config/run.yaml");
    }
  });
});

describe("a waiver", () => {
  const cold = "algorithm: { temperature: 0.9 }";

  it("lets a broken rule pass, and says why", async () => {
    const found = settingsOnly(
      await of(`${cold}\npreflight: { waive: [{ rule: C-41, reason: an ablation }] }`),
    );
    expect(found).toMatchObject([{ id: "C-41", severity: "warn", waived: "an ablation" }]);
    expect(report(found)).toContain("(waived: an ablation)");
  });

  it("also lets pass what is fatal, and what is unknown", async () => {
    const found = await of(
      "training: { n_resp_per_prompt: 1 }" +
        "\npreflight: { waive: [{ rule: grpo-group, reason: a baseline }, { rule: storage-class, reason: looked myself }] }",
    );
    expect(found.some(isFatal)).toBe(false);
    expect(found.filter(({ waived }) => waived).map(({ id, severity }) => [id, severity])).toEqual([
      ["grpo-group", "fatal"],
      ["storage-class", "unknown"],
    ]);
    expect(count(found)).toContain("0 fatal");
  });

  it.each([
    ["of no rule", "{ rule: C-99, reason: x }", "preflight.waive[0].rule"],
    ["without a reason", "{ rule: C-41 }", "preflight.waive[0].reason"],
    ["with an empty reason", '{ rule: C-41, reason: "" }', "preflight.waive[0].reason"],
  ])("%s is refused where it stands", async (_case, waiver, setting) => {
    const [finding] = await of(`preflight: { waive: [${waiver}] }`);
    expect(finding).toMatchObject({ id: "C-36", severity: "fatal" });
    expect(finding?.location).toMatchObject({ file: "config/run.yaml", line: 2 });
    expect(report([finding!])).toContain(setting);
  });

  it("of a rule that nobody may waive is refused, and says why", async () => {
    const [finding] = await of("preflight: { waive: [{ rule: ray-token, reason: x }] }");
    expect(finding?.found).toContain(
      "ray-token cannot be waived: a cluster without authentication",
    );
  });

  it("of a rule that is not broken is a warning", async () => {
    const found = settingsOnly(await of("preflight: { waive: [{ rule: C-41, reason: x }] }"));
    expect(found).toMatchObject([
      { id: "waiver-unused", severity: "warn", location: { file: "config/run.yaml", line: 2 } },
    ]);
  });
});

describe("strict", () => {
  it("takes every warning for fatal, those about settings without effect too", async () => {
    const yaml =
      "algorithm: { temperature: 0.9 }\nk8s: { kubeconfig: /x }\npreflight: { strict: true }";
    const found = (await of(yaml)).filter(isFatal).map(({ id }) => id);
    expect(found).toEqual(["C-15", "C-41", "no-effect"]);
  });

  it("leaves waivers and unknowns as they are", async () => {
    const found = await of(
      "algorithm: { temperature: 0.9 }\npreflight: { strict: true, waive: [{ rule: C-41, reason: x }] }",
    );
    expect(found.filter(isFatal).map(({ id }) => id)).toEqual(["C-15"]);
    expect(found.filter(({ severity }) => severity === "unknown").length).toBeGreaterThan(0);
  });
});
