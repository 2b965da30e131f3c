import { describe, expect, it } from "vitest";
import type { Settings } from "../../../config/load/load.ts";
import { judgeCluster } from "../../../rules/judge.ts";
import type { Facts, NodeFact } from "../../../preflight/facts/facts.ts";
import { factsWith } from "../../support/facts.ts";
import { karpenterSite } from "../../support/karpenter.ts";
import { clusterOf, judge, type Judged, settingsWith } from "../../support/settings.ts";

type Nodes = Partial<ReturnType<typeof clusterOf>["sandbox_nodes"]>;

/** Labels of the GPU nodes. */
const h200 = { "gpu.product": "H200", zone: "a" };
const existing = { kind: "existing" } as const;

/** A tier on a site whose sandboxes select such nodes. */
function decide(base: string, sandbox: Nodes, claim: string[] = []) {
  const { settings } = settingsWith("", { base });
  const { gpu_nodes, sandbox_nodes } = clusterOf(settings);
  const site = {
    ...clusterOf(settings),
    gpu_nodes: { ...gpu_nodes, pool: existing, selector: h200, claim },
    sandbox_nodes: { ...sandbox_nodes, pool: existing, tolerations: [], ...sandbox },
  };
  const changed: Settings = { ...settings, site };
  return { settings: changed, result: judge(changed) };
}
const about = ({ problems, warnings }: Judged) => ({
  errors: problems.filter(({ rule }) => rule === "sandbox-nodes").map(({ message }) => message),
  warnings: warnings.filter(({ rule }) => rule === "sandbox-nodes").map(({ message }) => message),
});

const none = { errors: [], warnings: [] };

describe("the nodes of sandboxes and of GPUs", () => {
  it.each(["two-node", "three-node"])("must differ on tier %s", (base) => {
    for (const selector of [h200, { zone: "a" }, {}]) {
      const { errors, warnings } = about(decide(base, { selector }).result);
      expect(warnings).toEqual([]);
      expect(errors).toHaveLength(1);
      expect(errors[0]).toMatch(
        /which every GPU node matches too, those of tier (two|three)-node included: untrusted code/,
      );
    }
    for (const selector of [{ pool: "sandbox" }, { zone: "b" }, { ...h200, pool: "sandbox" }]) {
      expect(about(decide(base, { selector }).result)).toEqual(none);
    }
  });

  it("may be the same on tier single-node, which says so", () => {
    const { errors, warnings } = about(decide("single-node", { selector: h200 }).result);
    expect(errors).toEqual([]);
    expect(warnings).toEqual([
      expect.stringContaining(
        "is gpu.product=H200,zone=a, which every GPU node matches too",
      ) as string,
    ]);
  });

  it("may overlap where the stack's taint keeps sandboxes away, unless they tolerate it", () => {
    const claim = ["gpu-1", "gpu-2"];
    const shared = (tolerations: NonNullable<Nodes["tolerations"]>) =>
      about(decide("two-node", { selector: {}, tolerations }, claim).result).errors.length;
    expect(shared([])).toBe(0);
    expect(shared([{ key: "sandbox", operator: "Exists" }])).toBe(0);
    expect(shared([{ operator: "Exists" }])).toBe(1);
    expect(shared([{ key: "swe-rl.dev/claimed-by", operator: "Exists" }])).toBe(1);
    expect(shared([{ key: "swe-rl.dev/claimed-by", operator: "Equal", value: "other" }])).toBe(0);
  });

  it("differ where Karpenter makes them", () => {
    const { settings } = settingsWith("", { base: "two-node" });
    expect(about(judge({ ...settings, site: karpenterSite() }))).toEqual(none);
  });
});

describe("preflight about sandboxes on GPU nodes", () => {
  const node = (name: string, labels: object, more: Partial<NodeFact> = {}): NodeFact => ({
    name,
    labels: { ...labels },
    ready: true,
    schedulable: true,
    podRanges: ["10.244.0.0/24"],
    runtime: "containerd://2.2.1",
    taints: [],
    allocatable: { "nvidia.com/gpu": "8" },
    pressures: [],
    images: [],
    simulated: false,
    ...more,
  });
  const both = { ...h200, pool: "sandbox" };
  const find = (base: string, nodes: Facts["nodes"]) => {
    const { settings, result } = decide(base, { selector: { pool: "sandbox" } });
    const facts = factsWith({ nodes });
    return judgeCluster({ settings, plan: result.plan, facts })
      .filter(({ id }) => id === "sandbox-gpu-nodes")
      .map(({ severity, found }) => [severity, found]);
  };

  it.each<[string, NodeFact[], [string, string]]>([
    ["none", [node("a", h200)], ["ok", "0 nodes take sandboxes, none has GPUs"]],
    [
      "one without GPUs",
      [node("a", both, { allocatable: {} })],
      ["ok", "1 nodes take sandboxes, none has GPUs"],
    ],
    ["a node of both", [node("a", both)], ["fatal", "a would take sandboxes"]],
    [
      "many",
      ["a", "b", "c", "d", "e"].map((name) => node(name, both)),
      ["fatal", "a, b, c and 2 more would take sandboxes"],
    ],
    [
      "a tainted one",
      [node("a", both, { taints: [{ key: "nvidia.com/gpu", effect: "NoSchedule" }] })],
      ["ok", "0 nodes take sandboxes, none has GPUs"],
    ],
  ])("finds %s", (_what, nodes, expected) => {
    expect(find("two-node", { known: true, value: nodes })).toEqual([expected]);
  });

  it("allows it on one node, and does not know what it cannot read", () => {
    expect(find("single-node", { known: true, value: [node("a", both)] })).toEqual([
      ["ok", "a would take sandboxes; tier single-node may share its node"],
    ]);
    expect(find("two-node", { known: false, reason: "403" })).toEqual([
      ["unknown", "not known: 403"],
    ]);
  });
});
