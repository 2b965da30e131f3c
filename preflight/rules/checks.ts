import { type PreflightRuleId, ruleIds } from "../../config/rules/catalogue.ts";
import { gpuNodes, namespacesOurs, rayOperator, reachable, storageClasses } from "./cluster.ts";
import { gpuNodeClaim } from "./gpu-claim.ts";
import { gpuFree } from "./gpu-free.ts";
import { karpenter } from "./node-pools.ts";
import { sandboxGpuNodes } from "./sandbox-nodes.ts";
import type { Finding } from "../finding.ts";
import type { Rule, Subject } from "./rule.ts";

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
  "sandbox-gpu-nodes": sandboxGpuNodes,
};

/** What every rule finds, in the order of the catalogue. Without a cluster each would only repeat that there is none. */
export function check(subject: Subject): Finding[] {
  if (!subject.facts.server.known) return reachable(subject);
  return ruleIds.flatMap((id) => (isChecked(id) ? checks[id](subject) : []));
}

function isChecked(id: string): id is PreflightRuleId {
  return id in checks;
}
