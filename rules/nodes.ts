/** Rules about the nodes that a stack names, claims or has made for it. */
import type { Toleration } from "../config/schema/scalars.ts";
import { describeDemand } from "../plan/nodes/index.ts";
import { defineRule, noPlan } from "./rule.ts";

export const claimSize = defineRule({
  id: "gpu-claim-size",
  spoils: "gpu pods",
  title: "as many nodes are claimed as the stack takes",
  severity: "fatal",
  consequence: "pods wait for ever, or nodes stand idle",
  remedy: "correct gpu_nodes.claim in the site file",
  source: "docs/decisions.md#c-03",
  unwaivable: noPlan,
  *check({ plan: { nodeClaim, gpuDemand } }) {
    if (!nodeClaim || nodeClaim.nodes.length === gpuDemand.nodes) return;
    yield {
      path: ["site", "gpu_nodes", "claim"],
      found: `names ${nodeClaim.nodes.length} nodes, but the stack takes ${gpuDemand.nodes} (${describeDemand(gpuDemand)})`,
    };
  },
});

/** Names of the NVIDIA device plugin for parts of a GPU (README of k8s-device-plugin 0.17: renameByDefault, MIG mixed). */
const parts = /^nvidia\.com\/(gpu\.shared|mig-.*)$/;

export const wholeGpus = defineRule({
  id: "gpu-resource",
  title: "whole GPUs for the ranks of a run",
  severity: "fatal",
  consequence:
    "two ranks may get the same GPU, which NCCL refuses (Duplicate GPU detected), and parts of a GPU reach no other by NVLink",
  remedy: "write the resource of whole GPUs into gpu_nodes.resource, nvidia.com/gpu as a rule",
  source: "https://github.com/NVIDIA/k8s-device-plugin#shared-access-to-gpus",
  *check({ host, plan: { gpuDemand } }) {
    const { resource } = host.gpu_nodes;
    if (gpuDemand.gpusPerNode < 2 || !parts.test(resource)) return;
    yield {
      path: ["site", "gpu_nodes", "resource"],
      found: `is ${resource}, parts of GPUs, but ${gpuDemand.gpusPerNode} ranks on a node need one each`,
    };
  },
});

export const spotGpus = defineRule({
  id: "spot-gpus",
  title: "no spot nodes for the trainer",
  severity: "warn",
  consequence: "a reclaimed node ends the run, which then resumes from its newest checkpoint",
  remedy: "leave spot out of gpu_nodes.pool.capacity_types",
  source: "https://karpenter.sh/docs/concepts/disruption/",
  *check({ host }) {
    const { pool } = host.gpu_nodes;
    if (pool.kind !== "karpenter" || !pool.capacity_types.includes("spot")) return;
    yield { path: ["site", "gpu_nodes", "pool", "capacity_types"], found: "has spot" };
  },
});

export const poolLimit = defineRule({
  id: "pool-limit",
  title: "the pool's limit admits the stack's nodes",
  severity: "fatal",
  consequence: "Karpenter stops before the last node",
  remedy: "leave gpu_nodes.pool.limits out",
  source: "https://karpenter.sh/docs/concepts/nodepools/#speclimits",
  *check({ plan: { gpuDemand, nodePools } }) {
    const { resource, nodes, gpusPerNode } = gpuDemand;
    const limit = nodePools.find(({ purpose }) => purpose === "gpu")?.limits[resource];
    const needed = nodes * gpusPerNode;
    if (limit === undefined || Number(limit) >= needed) return;
    yield {
      path: ["site", "gpu_nodes", "pool", "limits", resource],
      found: `is ${limit}, but the stack needs ${nodes} nodes with ${gpusPerNode} GPUs`,
      remedy: `leave it out, or give at least ${needed}`,
    };
  },
});

export const sandboxPool = defineRule({
  id: "sandbox-pool",
  title: "sandboxes select the nodes that Karpenter makes for them",
  severity: "warn",
  consequence:
    "sandboxes run elsewhere: Harbor's pods neither select nor tolerate the pool's nodes",
  remedy: "set cluster.mutating_admission to v1 or v1beta1: admission then adds both",
  source: "https://karpenter.sh/docs/concepts/scheduling/",
  *check({ plan: { nodePools, admission } }) {
    const hasPool = nodePools.some(({ purpose }) => purpose === "sandbox");
    if (!hasPool || admission.mutation !== "none") return;
    yield {
      path: ["site", "sandbox_nodes", "pool"],
      found: "makes nodes, and cluster.mutating_admission is none",
    };
  },
});

interface Taint {
  readonly key: string;
  readonly value: string;
}

export const sandboxNodes = defineRule({
  id: "sandbox-nodes",
  title: "sandboxes select other nodes than the GPU pods do",
  severity: "fatal",
  consequence:
    "a sandbox always reaches its own node, whatever the network policies say, and takes CPU, memory and disk from the trainer there",
  remedy:
    "give sandbox_nodes.selector a label that the GPU nodes do not have, or another value of one of theirs",
  source: "docs/decisions.md#sandboxes-keep-off-gpu-nodes",
  *check({ host, plan }) {
    if (host.docker) return;
    const { topology, gpuPlacement: gpu, sandboxes: sandbox, nodeClaim, nodePools } = plan;
    const taints: Taint[] = [
      ...nodePools.filter(({ purpose }) => purpose === "gpu").map(({ taint }) => taint),
      ...(nodeClaim ? [nodeClaim.taint] : []),
    ];
    const isKeptAway = taints.some((taint) => !sandbox.tolerations.some(tolerates(taint)));
    if (isKeptAway || !covers(sandbox.nodeSelector, gpu.nodeSelector)) return;
    const shown = Object.entries(sandbox.nodeSelector).map((entry) => entry.join("="));
    const found = `is ${shown.join(",") || "empty"}, which every GPU node matches too`;
    yield {
      path: ["site", "sandbox_nodes", "selector"],
      found,
      ...(topology.mode === "sync"
        ? {
            severity: "warn" as const,
            consequence:
              "sandboxes may share the trainer's node, which they always reach, and its CPUs, memory and disk",
            remedy: "name other nodes, unless the site has only one",
          }
        : {
            found: `${found}, those of tier ${topology.tier} included`,
            consequence:
              "untrusted code would run beside the trainer and the rollout servers, on nodes that it always reaches",
          }),
    };
  },
});

/** Whether every node with the one selector's labels has the other's as well. */
function covers(
  wide: Readonly<Record<string, string>>,
  narrow: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wide).every(([key, value]) => narrow[key] === value);
}

function tolerates({ key, value }: Taint): (toleration: Toleration) => boolean {
  return (toleration) =>
    (toleration.key === undefined || toleration.key === key) &&
    (toleration.operator === "Exists" || (toleration.value ?? "") === value);
}
