import { describe, expect, it } from "vitest";
import type { Facts, NodeFact } from "../../../preflight/facts/facts.ts";
import type { Finding } from "../../../rules/finding.ts";
import { factsWith, imagesOfNodes, known, nodeFact } from "../../support/facts.ts";
import { count, describe as describeFinding } from "../../../preflight/report.ts";
import { judgeCluster } from "../../../rules/judge.ts";
import { judge, settingsWith } from "../../support/settings.ts";

const { settings: lab } = settingsWith("");
const isolation = { ...lab.site.isolation, require_proof: true };
const settings = { ...lab, site: { ...lab.site, isolation } };
const { plan } = judge(settings);

const gpuNode = nodeFact("gpu-0", "gpu", { images: imagesOfNodes.gpu });
const usual = factsWith().nodes;
const others = usual.known ? usual.value.slice(1) : [];
const nodesWith = (change: Partial<NodeFact>) => ({
  nodes: known([{ ...gpuNode, ...change }, ...others]),
});
const unread = { known: false, reason: "this user may not read it (403)" } as const;

function findings(change: Partial<Facts>): Finding[] {
  return judgeCluster({ settings, plan, facts: factsWith(change) });
}
const bad = (change: Partial<Facts>) =>
  findings(change)
    .filter(({ severity }) => severity !== "ok")
    .map(({ id, severity, found }) => [id, severity, found]);

describe("preflight", () => {
  it("finds nothing wrong where all is well", () => {
    expect(bad({})).toEqual([]);
    expect(count(findings({}))).toBe("36 ok, 0 warnings, 0 fatal, 0 unknown");
  });

  it.each<[string, Partial<Facts>, [string, string, string]]>([
    [
      "no KubeRay",
      { rayClusterVersions: { known: true, value: [] } },
      ["kuberay-installed", "fatal", "no RayCluster kind"],
    ],
    [
      "an old KubeRay",
      { rayClusterVersions: { known: true, value: ["v1alpha1"] } },
      ["kuberay-installed", "fatal", "only v1alpha1"],
    ],
    [
      "a node without GPUs",
      nodesWith({ allocatable: {} }),
      ["gpu-nodes", "fatal", "0 of 3 nodes fit (1 have the labels)"],
    ],
    [
      "a node with fewer GPUs",
      nodesWith({ allocatable: { ...gpuNode.allocatable, "nvidia.com/gpu": "7" } }),
      ["gpu-nodes", "fatal", "0 of 3 nodes fit (1 have the labels)"],
    ],
    [
      "no node with the labels",
      nodesWith({ labels: {} }),
      ["gpu-nodes", "fatal", "0 of 3 nodes fit (0 have the labels)"],
    ],
    [
      "a namespace of another stack",
      {
        namespaces: {
          known: true,
          value: [
            { name: "run-train", labels: { "swe-rl.dev/stack": "other" }, terminating: false },
          ],
        },
      },
      ["namespaces-ours", "fatal", "namespace run-train belongs to another owner"],
    ],
    [
      "a namespace on its way out",
      {
        namespaces: {
          known: true,
          value: [{ name: "run-proxy", labels: { "swe-rl.dev/stack": "run" }, terminating: true }],
        },
      },
      ["namespaces-ours", "fatal", "namespace run-proxy is still being deleted"],
    ],
    [
      "no API server",
      { server: { known: false, reason: "no answer within 10 s" } },
      ["cluster-reachable", "fatal", "no answer within 10 s"],
    ],
  ])("refuses %s", (_what, change, expected) => {
    expect(bad(change)).toEqual([expected]);
  });

  it.each<[keyof Facts, string[]]>([
    ["rayClusterVersions", ["kuberay-installed"]],
    [
      "nodes",
      [
        "gpu-nodes",
        "gpu-free",
        "nodes-ready",
        "nodes-fit",
        "gpu-products",
        "gpu-shared",
        "gpu-node-memory",
        "gpu-node-room",
        "cpu-node-room",
        "pods-packed",
        "sandbox-room",
        "images-there",
        "egress-proof",
        "image-volumes",
        "gpu-unrequested",
        "pod-ipv4",
        "sandbox-gpu-nodes",
      ],
    ],
    [
      "pods",
      [
        "gpu-free",
        "gpu-node-room",
        "gpu-unrequested",
        "cpu-node-room",
        "pods-packed",
        "sandbox-room",
      ],
    ],
    ["namespaces", ["namespaces-ours"]],
    ["namesakes", ["objects-ours"]],
    ["operator", ["kuberay-operator"]],
    ["missingRights", ["rights"]],
    ["bounds", ["quota", "limit-range"]],
    ["admission", ["admission"]],
    ["storageClasses", ["storage-class", "storage-reclaim", "storage-supply"]],
    ["volumes", ["C-35", "storage-supply"]],
    ["claims", ["C-35", "storage-claim", "storage-going", "storage-supply"]],
    ["networkAgents", ["network-enforced"]],
    ["run", ["run-state"]],
    ["apiServerPorts", ["api-server-port"]],
    ["policies", ["policies-ours"]],
    ["otherPolicies", ["policies-known"]],
  ])("calls what it could not read unknown, never fine: %s", (fact, ids) => {
    expect(bad({ [fact]: unread })).toEqual(
      ids.sort().map((id) => [id, "unknown", `not known: ${unread.reason}`]),
    );
  });

  it("accepts the stack's own namespaces, kept or half-built", () => {
    const namespaces = [
      { name: "run-train", labels: { "swe-rl.dev/stack": "run" }, terminating: false },
    ];
    expect(bad({ namespaces: { known: true, value: namespaces } })).toEqual([]);
  });

  it("says what was found, expected, what would follow and what to do", () => {
    for (const finding of findings({
      rayClusterVersions: { known: true, value: [] },
      nodes: { known: true, value: [] },
    })) {
      if (finding.severity === "ok" || finding.severity === "unknown") continue;
      for (const part of [finding.found, finding.expected, finding.consequence, finding.remedy]) {
        expect(part.length).toBeGreaterThan(5);
        expect(describeFinding(finding)).toContain(part);
      }
    }
  });
});
