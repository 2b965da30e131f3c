import { broken, type Finding, met, unknown } from "../finding.ts";
import { madeByKarpenter, matches } from "../../plan/nodes/placement.ts";
import type { Rule } from "./rule.ts";

export const reachable: Rule = ({ facts: { server } }) =>
  server.known
    ? [met("cluster-reachable", server.value)]
    : [broken("cluster-reachable", { found: server.reason })];

export const rayOperator: Rule = ({ facts: { rayClusterVersions } }) => {
  const id = "kuberay-installed";
  if (!rayClusterVersions.known) return [unknown(id, rayClusterVersions.reason)];
  const versions = rayClusterVersions.value;
  if (versions.includes("v1")) return [met(id, "ray.io/v1 RayCluster")];
  const found = versions.length > 0 ? `only ${versions.join(", ")}` : "no RayCluster kind";
  return [broken(id, { found })];
};

export const gpuNodes: Rule = ({ plan, facts: { nodes } }) =>
  plan.ray.groups.map((group): Finding => {
    const id = "gpu-nodes";
    if (madeByKarpenter(plan)) return met(id, "Karpenter makes them when pods need them");
    const selector = Object.entries(group.nodeSelector)
      // A claimed node gets this label only in the course of the update.
      .filter(([key]) => !(plan.nodeClaim && key in plan.nodeClaim.label));
    const shown = selector.map(([key, value]) => `${key}=${value}`).join(",");
    const expected = `${group.replicas} ready nodes with ${group.gpus} × ${group.gpuResource} and ${shown}`;
    if (!nodes.known) return unknown(id, nodes.reason, expected);
    const matching = nodes.value.filter((node) => matches(node, selector));
    const fitting = matching.filter(
      (node) => node.ready && Number(node.allocatable[group.gpuResource] ?? 0) >= group.gpus,
    );
    if (fitting.length >= group.replicas) {
      return met(id, `${fitting.length} nodes with ${group.gpus} GPUs`);
    }
    const found = `${fitting.length} of ${nodes.value.length} nodes fit (${matching.length} have the labels)`;
    return broken(id, { found, expected });
  });

export const namespacesOurs: Rule = ({ plan, facts: { namespaces } }) => {
  const id = "namespaces-ours";
  const expected = `no namespace of these names, or one of stack ${plan.names.stack}`;
  if (!namespaces.known) return [unknown(id, namespaces.reason, expected)];
  const findings = namespaces.value.flatMap((namespace): Finding[] => {
    if (namespace.terminating) {
      return [
        broken(id, {
          found: `namespace ${namespace.name} is still being deleted`,
          expected,
          consequence: "nothing can be created in it",
          remedy: `wait until it is gone: kubectl get namespace ${namespace.name} --watch`,
        }),
      ];
    }
    if (namespace.labels["swe-rl.dev/stack"] === plan.names.stack) return [];
    return [
      broken(id, { found: `namespace ${namespace.name} belongs to somebody else`, expected }),
    ];
  });
  return findings.length > 0 ? findings : [met(id, `${namespaces.value.length} there already`)];
};
