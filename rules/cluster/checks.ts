import { ruleIds } from "../index.ts";
import type { PreflightRuleId } from "../old/catalogue.ts";
import { type Finding, unknown } from "../finding.ts";
import { admission, namesakes, rights } from "./access.ts";
import { limitRanges, quotas } from "./bounds.ts";
import { gpuNodes, namespacesOurs, rayOperator, reachable } from "./cluster.ts";
import { gpuNodeClaim } from "./gpu-claim.ts";
import { gpuFree } from "./gpu-free.ts";
import { egressProof } from "./egress-proof.ts";
import { networkEnforced, otherPolicies, policiesOurs } from "./network.ts";
import { karpenter } from "./node-pools.ts";
import { gpuNodeMemory, gpuProducts, nodesFit, nodesReady } from "./nodes.ts";
import { images, kuberayOperator, kubernetesVersion } from "./platform.ts";
import { cpuNodeRoom, gpuNodeRoom, nodePoolLimits, sandboxRoom } from "./room.ts";
import {
  checkpointSpace,
  storageClaims,
  storageClasses,
  storageReclaim,
  storageSupply,
  storageVolumes,
} from "./storage.ts";
import { sandboxGpuNodes } from "./sandbox-nodes.ts";
import type { Rule, Subject } from "./rule.ts";
import { mutatingAdmission, runtimeClass } from "./sandbox-admission.ts";

/** The check of every rule that preflight checks. */
const checks: Readonly<Record<PreflightRuleId, Rule>> = {
  "cluster-reachable": reachable,
  "kuberay-installed": rayOperator,
  "gpu-nodes": gpuNodes,
  "gpu-node-claim": gpuNodeClaim,
  "gpu-free": gpuFree,
  "karpenter-installed": karpenter,
  "namespaces-ours": namespacesOurs,
  "storage-class": storageClasses,
  "egress-proof": egressProof,
  "mutating-admission": mutatingAdmission,
  "runtime-class": runtimeClass,
  "kubernetes-version": kubernetesVersion,
  "nodes-ready": nodesReady,
  "nodes-fit": nodesFit,
  "kuberay-operator": kuberayOperator,
  "gpu-products": gpuProducts,
  "gpu-node-memory": gpuNodeMemory,
  "gpu-node-room": gpuNodeRoom,
  "cpu-node-room": cpuNodeRoom,
  "sandbox-room": sandboxRoom,
  "node-pool-limits": nodePoolLimits,
  rights,
  "objects-ours": namesakes,
  admission,
  quota: quotas,
  "limit-range": limitRanges,
  "storage-reclaim": storageReclaim,
  "storage-volume": storageVolumes,
  "storage-claim": storageClaims,
  "storage-supply": storageSupply,
  "C-34": checkpointSpace,
  "network-enforced": networkEnforced,
  "policies-ours": policiesOurs,
  "policies-known": otherPolicies,
  "images-there": images,
  "sandbox-gpu-nodes": sandboxGpuNodes,
};

/** What every rule finds, in the order of the catalogue. Without a cluster each would only repeat that there is none. */
export function check(subject: Subject): Finding[] {
  if (!subject.facts.server.known) return reachable(subject);
  return ruleIds.flatMap((id) => (isChecked(id) ? checks[id](subject) : []));
}

/** What every rule finds where nobody asks the cluster: those that concern the stack are unknown. */
export function checkUnasked(subject: Subject): Finding[] {
  const { server } = subject.facts;
  return ruleIds.flatMap((id) => {
    if (!isChecked(id)) return [];
    if (id !== "cluster-reachable") return checks[id](subject);
    return server.known ? [] : [unknown(id, server.reason)];
  });
}

function isChecked(id: string): id is PreflightRuleId {
  return id in checks;
}
