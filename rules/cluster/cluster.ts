import { madeByKarpenter, matches } from "../../preflight/facts/placement.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

export const reachable = defineClusterRule({
  id: "cluster-reachable",
  title: "an API server that answers",
  severity: "fatal",
  consequence: "nothing can be created",
  remedy:
    "check cluster.context in the site file, $KUBECONFIG, the VPN, and: kubectl --context CONTEXT version",
  source: "docs/decisions.md#c-25",
  unwaivable: "without an API server there is nothing to provision",
  check: ({ facts: { server } }) =>
    server.known ? [met(server.value)] : [{ found: server.reason }],
});

export const rayOperator = defineClusterRule({
  id: "kuberay-installed",
  title: "KubeRay 1.6 or newer, whose RayCluster is served as ray.io/v1",
  severity: "fatal",
  consequence: "the Ray cluster could not be created",
  remedy:
    "helm repo add kuberay https://ray-project.github.io/kuberay-helm/ && helm install kuberay-operator kuberay/kuberay-operator -n kuberay-system --create-namespace",
  source: "https://ray-project.github.io/kuberay/reference/api/",
  unwaivable: "the API server would refuse the RayCluster",
  check: ({ facts: { rayClusterVersions } }) => {
    if (!rayClusterVersions.known) return [notRead(rayClusterVersions.reason)];
    const versions = rayClusterVersions.value;
    if (versions.includes("v1")) return [met("ray.io/v1 RayCluster")];
    const found = versions.length > 0 ? `only ${versions.join(", ")}` : "no RayCluster kind";
    return [{ found }];
  },
});

export const gpuNodes = defineClusterRule({
  id: "gpu-nodes",
  standsOn: ["gpu pods"],
  title: "as many ready nodes with the GPUs and labels as the tier has",
  severity: "fatal",
  consequence: "the workers would wait for a node until the rollout budget is spent",
  remedy:
    "check gpu_nodes.selector in the site file, and with kubectl describe node: labels, readiness, the GPU device plugin",
  source: "docs/decisions.md#c-03; https://github.com/volcengine/verl/issues/242",
  check: ({ plan, facts: { nodes } }) =>
    plan.ray.groups.map((group): Verdict => {
      if (madeByKarpenter(plan)) return met("Karpenter makes them when pods need them");
      const selector = Object.entries(group.nodeSelector)
        // A claimed node gets this label only in the course of the update.
        .filter(([key]) => !(plan.nodeClaim && key in plan.nodeClaim.label));
      const shown = selector.map(([key, value]) => `${key}=${value}`).join(",");
      const expected = `${group.replicas} ready nodes with ${group.gpus} × ${group.gpuResource} and ${shown}`;
      if (!nodes.known) return notRead(nodes.reason, expected);
      const matching = nodes.value.filter((node) => matches(node, selector));
      const fitting = matching.filter(
        (node) => node.ready && Number(node.allocatable[group.gpuResource] ?? 0) >= group.gpus,
      );
      if (fitting.length >= group.replicas) {
        return met(`${fitting.length} nodes with ${group.gpus} GPUs`);
      }
      const found = `${fitting.length} of ${nodes.value.length} nodes fit (${matching.length} have the labels)`;
      return { found, expected };
    }),
});

export const namespacesOurs = defineClusterRule({
  id: "namespaces-ours",
  standsOn: ["names"],
  title: "no namespace of the stack's names, or one of this stack",
  severity: "fatal",
  consequence: "the stack would take over what is not its own, and destroy would delete it",
  remedy: "choose another stack name: pulumi stack init NAME",
  source: "docs/decisions.md#c-44",
  unwaivable: "destroy would delete what is not the stack's",
  check: ({ plan, facts: { namespaces } }) => {
    const expected = `no namespace of these names, or one of stack ${plan.names.stack}`;
    if (!namespaces.known) return [notRead(namespaces.reason, expected)];
    const findings = namespaces.value.flatMap((namespace): Verdict[] => {
      if (namespace.terminating) {
        return [
          {
            found: `namespace ${namespace.name} is still being deleted`,
            expected,
            consequence: "nothing can be created in it",
            remedy: `wait until it is gone: kubectl get namespace ${namespace.name} --watch`,
          },
        ];
      }
      if (namespace.labels["swe-rl.dev/stack"] === plan.names.stack) return [];
      return [{ found: `namespace ${namespace.name} belongs to another owner`, expected }];
    });
    return findings.length > 0 ? findings : [met(`${namespaces.value.length} there already`)];
  },
});
