import { type Finding, ok, unknown } from "../finding.ts";
import { madeByKarpenter, matches } from "../placement.ts";
import { gpuNodeClaim } from "./gpu-claim.ts";
import { gpuFree } from "./gpu-free.ts";
import { karpenter } from "./node-pools.ts";
import type { Rule } from "./rule.ts";

export const reachable: Rule = (_plan, { server }) =>
  server.known
    ? [ok("cluster-reachable", server.value)]
    : [
        {
          id: "cluster-reachable",
          severity: "fatal",
          found: server.reason,
          expected: "an API server that answers",
          consequence: "nothing can be created",
          remedy:
            "check cluster.context and cluster.kubeconfig in the site file, the VPN, and: kubectl --context CONTEXT version",
        },
      ];

export const rayOperator: Rule = (_plan, { rayClusterVersions }) => {
  const id = "kuberay-installed";
  const expected = "KubeRay 1.6 or newer, whose RayCluster is served as ray.io/v1";
  if (!rayClusterVersions.known) return [unknown(id, expected, rayClusterVersions.reason)];
  const versions = rayClusterVersions.value;
  if (versions.includes("v1")) return [ok(id, "ray.io/v1 RayCluster")];
  return [
    {
      id,
      severity: "fatal",
      found: versions.length > 0 ? `only ${versions.join(", ")}` : "no RayCluster kind",
      expected,
      consequence: "the Ray cluster could not be created",
      remedy:
        "helm repo add kuberay https://ray-project.github.io/kuberay-helm/ && helm install kuberay-operator kuberay/kuberay-operator -n kuberay-system --create-namespace",
    },
  ];
};

export const gpuNodes: Rule = (plan, { nodes }) =>
  plan.ray.groups.map((group): Finding => {
    const id = "gpu-nodes";
    if (madeByKarpenter(plan)) return ok(id, "Karpenter makes them when pods need them");
    const selector = Object.entries(group.nodeSelector)
      // A claimed node gets this label only in the course of the update.
      .filter(([key]) => !(plan.nodeClaim && key in plan.nodeClaim.label));
    const shown = selector.map(([key, value]) => `${key}=${value}`).join(",");
    const expected = `${group.replicas} ready nodes with ${group.gpus} × ${group.gpuResource} and ${shown}`;
    if (!nodes.known) return unknown(id, expected, nodes.reason);
    const matching = nodes.value.filter((node) => matches(node, selector));
    const fitting = matching.filter(
      (node) => node.ready && Number(node.allocatable[group.gpuResource] ?? 0) >= group.gpus,
    );
    if (fitting.length >= group.replicas) {
      return ok(id, `${fitting.length} nodes with ${group.gpus} GPUs`);
    }
    return {
      id,
      severity: "fatal",
      found: `${fitting.length} of ${nodes.value.length} nodes fit (${matching.length} have the labels)`,
      expected,
      consequence: "the workers would wait for a node until the rollout budget is spent",
      remedy:
        "check gpu_nodes.selector in the site file, and with kubectl describe node: labels, readiness, the GPU device plugin",
    };
  });

export const namespacesOurs: Rule = (plan, { namespaces }) => {
  const id = "namespaces-ours";
  const expected = `no namespace of these names, or one of stack ${plan.names.stack}`;
  if (!namespaces.known) return [unknown(id, expected, namespaces.reason)];
  const findings = namespaces.value.flatMap((namespace): Finding[] => {
    if (namespace.terminating) {
      return [
        {
          id,
          severity: "fatal",
          found: `namespace ${namespace.name} is still being deleted`,
          expected,
          consequence: "nothing can be created in it",
          remedy: `wait until it is gone: kubectl get namespace ${namespace.name} --watch`,
        },
      ];
    }
    if (namespace.labels["swe-rl.dev/stack"] === plan.names.stack) return [];
    return [
      {
        id,
        severity: "fatal",
        found: `namespace ${namespace.name} belongs to somebody else`,
        expected,
        consequence: "the stack would take over what is not its own, and destroy would delete it",
        remedy: "choose another stack name: pulumi stack init NAME",
      },
    ];
  });
  return findings.length > 0 ? findings : [ok(id, `${namespaces.value.length} there already`)];
};

export const storageClasses: Rule = (plan, { storageClasses: classes }) => {
  const wanted = new Set(
    plan.storage.volumes.flatMap(({ backing }) =>
      backing.kind === "claim" && backing.storage_class !== undefined
        ? [backing.storage_class]
        : [],
    ),
  );
  return [...wanted].map((name): Finding => {
    const id = "storage-class";
    const expected = `storage class ${name}`;
    if (!classes.known) return unknown(id, expected, classes.reason);
    if (classes.value.includes(name)) return ok(id, name);
    return {
      id,
      severity: "fatal",
      found: `only ${classes.value.join(", ") || "none"}`,
      expected,
      consequence: "claims would wait for a volume for ever",
      remedy: "name an existing class in the site file under storage, or create it",
    };
  });
};

export const clusterRules: readonly Rule[] = [
  reachable,
  rayOperator,
  gpuNodes,
  gpuNodeClaim,
  gpuFree,
  karpenter,
  namespacesOurs,
  storageClasses,
];
