import { describe, expect, it } from "vitest";
import type { Facts, NodeFact } from "../../../preflight/facts/facts.ts";
import type { PodFact } from "../../../preflight/facts/pods.ts";
import type { Finding } from "../../../rules/finding.ts";
import { describe as describeFinding } from "../../../preflight/report.ts";
import { judgeCluster as checkAll } from "../../../rules/judge.ts";
import { karpenterSite } from "../../support/karpenter.ts";
import { factsWith, nodeFact } from "../../support/facts.ts";
import { clusterOf, judge as judgeStack, settingsWith } from "../../support/settings.ts";

const claimKey = "swe-rl.dev/claimed-by";
const node = (name: string, change: Partial<NodeFact> = {}): NodeFact =>
  nodeFact(name, "gpu", { labels: { "swe-rl.dev/pool": "gpu" }, ...change });
/** @param where Node that the pod is bound to, or what else is different; without a node it waits. */
const pod = (holder: string, gpus: number, where: string | Partial<PodFact>): PodFact => ({
  node: typeof where === "string" ? where : undefined,
  requests: { cpus: 0, memoryBytes: 0, ephemeralBytes: 0, gpus },
  addresses: [],
  seesGpus: undefined,
  stack: holder,
  namespace: `${holder}-train`,
  nodeSelector: { "swe-rl.dev/pool": "gpu" },
  tolerations: [],
  failedPulls: [],
  ...(typeof where === "string" ? {} : where),
});
const three = [node("gpu-0"), node("gpu-1"), node("gpu-2")];
const claimedBy = (stack: string): Partial<NodeFact> => ({
  labels: { "swe-rl.dev/pool": "gpu", [claimKey]: stack },
  taints: [{ key: claimKey, value: stack, effect: "NoSchedule" }],
});

interface Case {
  nodes?: readonly NodeFact[];
  pods?: readonly PodFact[];
  yaml?: string;
  claim?: string[];
}

function judgeCluster(
  id: string,
  { nodes = three, pods = [], yaml = "", claim = [] }: Case,
): Finding[] {
  const { settings } = settingsWith(yaml);
  const gpu_nodes = { ...clusterOf(settings).gpu_nodes, claim };
  const changed = { ...settings, site: { ...clusterOf(settings), gpu_nodes } };
  const result = judgeStack(changed);
  expect(result.problems).toEqual([]);
  const facts = factsWith({
    nodes: { known: true, value: nodes },
    pods: { known: true, value: pods },
  });
  return checkAll({ settings: changed, plan: result.plan, facts }).filter((one) => one.id === id);
}
const judge = (gpus: number, replicas = 1) =>
  `serving: [{ name: judge, model_path: /models/x, gpus: ${gpus}, replicas: ${replicas} }]`;

describe("free GPUs", () => {
  it.each<[string, Case, string]>([
    ["nobody has any", {}, "of 3 GPU nodes (24 GPUs) 3 are free"],
    [
      "one node is whole",
      { pods: [pod("a", 8, "gpu-0"), pod("b", 1, "gpu-1")] },
      "of 3 GPU nodes (24 GPUs) 1 is free",
    ],
    [
      "the stack holds all of them itself",
      { pods: three.map(({ name }) => pod("run", 8, name)) },
      "of 3 GPU nodes (24 GPUs) 3 are free",
    ],
    [
      "the frozen models fit beside others'",
      { yaml: judge(2, 2), pods: [pod("a", 8, "gpu-0"), pod("b", 4, "gpu-1")] },
      "of 3 GPU nodes (24 GPUs) 1 is free",
    ],
    [
      "another stack waits, but room is left",
      { pods: [pod("a", 8, {})] },
      "of 3 GPU nodes (24 GPUs) 2 are free",
    ],
    [
      "a pod waits that no node here will ever take",
      {
        pods: [
          pod("a", 8, "gpu-0"),
          pod("b", 8, "gpu-1"),
          pod("c", 8, { nodeSelector: { pool: "elsewhere" } }),
        ],
      },
      "of 3 GPU nodes (24 GPUs) 1 is free",
    ],
    [
      "the stack's own node is cordoned",
      { nodes: [node("gpu-0", { schedulable: false })], pods: [pod("run", 8, "gpu-0")] },
      "of 1 GPU nodes (8 GPUs) 1 is free",
    ],
    [
      "the node is claimed by the stack itself",
      { nodes: [node("gpu-0", claimedBy("run")), node("gpu-1")], claim: ["gpu-0"] },
      "of 1 GPU nodes (8 GPUs) 1 is free",
    ],
  ])("are enough: %s", (_case, given, found) => {
    expect(judgeCluster("gpu-free", given)).toMatchObject([{ severity: "ok", found }]);
  });

  it.each<[string, Case, string]>([
    [
      "others hold all nodes",
      { pods: [pod("single-node", 8, "gpu-0"), pod("exp-42", 8, "gpu-1"), pod("b", 2, "gpu-2")] },
      "run needs 1 node with 8 free GPUs; of 3 GPU nodes (24 GPUs) 0 are free: gpu-0 is held by single-node (8), gpu-1 is held by exp-42 (8), gpu-2 is held by b (2)",
    ],
    [
      "no room for the frozen models",
      { yaml: judge(4, 3), pods: [pod("a", 8, "gpu-0")] },
      "run needs 1 node with 8 free GPUs and 3 × 4 GPUs for frozen model judge; of 3 GPU nodes (24 GPUs) 2 are free: gpu-0 is held by a (8)",
    ],
    [
      "somebody who is no stack has them",
      {
        nodes: [node("gpu-0")],
        pods: [pod("", 1, { node: "gpu-0", stack: undefined, namespace: "jupyter" })],
      },
      "run needs 1 node with 8 free GPUs; of 1 GPU nodes (8 GPUs) 0 are free: gpu-0 is held by namespace jupyter (1)",
    ],
    [
      "another stack came first and still waits",
      { nodes: [node("gpu-0")], pods: [pod("a", 8, {})] },
      "run needs 1 node with 8 free GPUs; of 1 GPU nodes (8 GPUs) 0 are free: gpu-0 is held by waiting a (8)",
    ],
    [
      "a node is claimed by another stack, another is cordoned, the third is tainted",
      {
        nodes: [
          node("gpu-0", claimedBy("a")),
          node("gpu-1", { schedulable: false }),
          node("gpu-2", { taints: [{ key: "team", value: "x", effect: "NoExecute" }] }),
        ],
      },
      "run needs 1 node with 8 free GPUs; of 3 GPU nodes (24 GPUs) 0 are free: gpu-0 is claimed by a, gpu-1 is cordoned, gpu-2 has a taint that the pods do not tolerate (team)",
    ],
    [
      "the claimed node is full, though others are not",
      { claim: ["gpu-0"], pods: [pod("a", 4, "gpu-0")] },
      "run needs 1 node with 8 free GPUs; of 1 GPU nodes (8 GPUs) 0 are free: gpu-0 is held by a (4)",
    ],
  ])("are too few: %s", (_case, given, found) => {
    expect(judgeCluster("gpu-free", given)).toMatchObject([{ severity: "fatal", found }]);
  });

  it("names on a big cluster only the first holders", () => {
    const nodes = Array.from({ length: 40 }, (_, i) => node(`gpu-${i}`));
    const pods = nodes.map(({ name }) => pod("a", 8, name));
    const [finding] = judgeCluster("gpu-free", { nodes, pods });
    expect(finding?.found).toMatch(/gpu-7 is held by a \(8\) and 32 more$/);
  });

  it("are freed by the stacks that hold them", () => {
    const [finding] = judgeCluster("gpu-free", {
      nodes: [node("gpu-0"), node("gpu-1", claimedBy("c"))],
      pods: [pod("b", 4, "gpu-0"), pod("a", 1, "gpu-0")],
    });
    expect(finding?.remedy).toContain(
      "pulumi destroy -s a or pulumi destroy -s b or pulumi destroy -s c; or wait",
    );
    expect(describeFinding(finding!)).toContain("Otherwise: its pods would wait for GPUs");
  });

  it("are no question where too few nodes are there at all: gpu-nodes says so", () => {
    expect(judgeCluster("gpu-free", { nodes: [] })).toEqual([]);
    expect(judgeCluster("gpu-nodes", { nodes: [] })).toMatchObject([{ severity: "fatal" }]);
  });

  it("are no question where Karpenter makes the nodes", () => {
    const { settings } = settingsWith("");
    const result = judgeStack({ ...settings, site: karpenterSite() });
    const ids = ["gpu-free", "gpu-nodes", "karpenter-installed"];
    const found = (nodePoolVersions: Facts["nodePoolVersions"]) =>
      checkAll({ settings, plan: result.plan, facts: factsWith({ nodePoolVersions }) })
        .filter(({ id }) => ids.includes(id))
        .map(({ id, severity }) => [id, severity]);
    expect(found({ known: true, value: ["v1"] })).toEqual(ids.map((id) => [id, "ok"]));
    expect(found({ known: true, value: [] }).at(-1)).toEqual(["karpenter-installed", "fatal"]);
    expect(found({ known: true, value: ["v1beta1"] }).at(-1)).toEqual([
      "karpenter-installed",
      "fatal",
    ]);
    expect(found({ known: false, reason: "403" }).at(-1)).toEqual([
      "karpenter-installed",
      "unknown",
    ]);
  });
});

describe("a claim of nodes", () => {
  it.each<[string, Case & { found: string; remedy: string }]>([
    [
      "a node of another stack",
      {
        nodes: [node("gpu-0", claimedBy("exp-42"))],
        found: "node gpu-0 is claimed by stack exp-42",
        remedy: "pulumi destroy -s exp-42",
      },
    ],
    [
      "a node that is not there",
      {
        nodes: [node("gpu-1")],
        found: "there is no node gpu-0",
        remedy: "kubectl get nodes",
      },
    ],
    [
      "a node with a taint of somebody else",
      {
        nodes: [node("gpu-0", { taints: [{ key: "nvidia.com/gpu", effect: "NoSchedule" }] })],
        found: "node gpu-0 has the taint nvidia.com/gpu",
        remedy: "kubectl taint nodes gpu-0 nvidia.com/gpu-",
      },
    ],
  ])("is refused: %s", (_case, { found, remedy, ...given }) => {
    const findings = judgeCluster("gpu-node-claim", { ...given, claim: ["gpu-0"] });
    expect(findings).toMatchObject([{ severity: "fatal", found }]);
    expect(findings[0]?.remedy).toContain(remedy);
    expect(judgeCluster("gpu-free", { ...given, claim: ["gpu-0"] })).toEqual([]);
  });

  it.each<[string, Case]>([
    ["free nodes", {}],
    ["the stack's own, on a second up", { nodes: [node("gpu-0", claimedBy("run"))] }],
  ])("is granted: %s", (_case, given) => {
    expect(judgeCluster("gpu-node-claim", { ...given, claim: ["gpu-0"] })).toMatchObject([
      { severity: "ok", found: "gpu-0" },
    ]);
  });

  it("is no question without one", () => {
    expect(judgeCluster("gpu-node-claim", {})).toEqual([]);
  });
});

describe("two Ray groups on one node", () => {
  const half = (memory: string) => {
    const { settings } = settingsWith(
      "infrastructure: { ngpus_per_node: 4 }\nvllm: { gen_tp: 4 }",
      {
        base: "two-node",
      },
    );
    const { plan } = judgeStack(settings);
    const nodes = [
      nodeFact("gpu-0", "gpu", {
        allocatable: { cpu: "192", memory, pods: "110", "nvidia.com/gpu": "8" },
      }),
      nodeFact("cpu-0", "cpu"),
    ];
    const facts = factsWith({ nodes: { known: true, value: nodes } });
    return checkAll({ settings, plan, facts }).filter(({ id }) => id === "pods-packed");
  };

  it("do not fit together where its memory is enough for one", () => {
    expect(half("2Ti")).toMatchObject([
      { severity: "warn", found: expect.stringContaining("Ray group") as string },
    ]);
  });

  it("fit where it is enough for both", () => {
    expect(half("3Ti")).toEqual([]);
  });
});
