import type { RuleText } from "./rule.ts";

/** Rules about the cluster that a stack is to run on. */
export const clusterRules = {
  "cluster-reachable": {
    title: "an API server that answers",
    severity: "fatal",
    consequence: "nothing can be created",
    remedy:
      "check cluster.context and cluster.kubeconfig in the site file, the VPN, and: kubectl --context CONTEXT version",
    source: "C-25",
    checkedBy: "preflight",
    unwaivable: "without an API server there is nothing to provision",
  },
  "kuberay-installed": {
    title: "KubeRay 1.6 or newer, whose RayCluster is served as ray.io/v1",
    severity: "fatal",
    consequence: "the Ray cluster could not be created",
    remedy:
      "helm repo add kuberay https://ray-project.github.io/kuberay-helm/ && helm install kuberay-operator kuberay/kuberay-operator -n kuberay-system --create-namespace",
    source: "KubeRay's API reference",
    checkedBy: "preflight",
    unwaivable: "the API server would refuse the RayCluster",
  },
  "gpu-nodes": {
    title: "as many ready nodes with the GPUs and labels as the tier has",
    severity: "fatal",
    consequence: "the workers would wait for a node until the rollout budget is spent",
    remedy:
      "check gpu_nodes.selector in the site file, and with kubectl describe node: labels, readiness, the GPU device plugin",
    source: "C-03, verl#242",
    checkedBy: "preflight",
  },
  "gpu-node-claim": {
    title: "claimed nodes are there, claimed by nobody else, and without other taints",
    severity: "fatal",
    consequence: "two runs would take the same GPUs, or the claim would be refused",
    remedy: "correct gpu_nodes.claim in the site file: kubectl get nodes",
    source: "C-04",
    checkedBy: "preflight",
  },
  "gpu-free": {
    title: "GPUs for every pod of the stack that nobody else holds",
    severity: "fatal",
    consequence: "its pods would wait for GPUs until the rollout budget is spent",
    remedy: "end another run, or add GPU nodes that gpu_nodes.selector of the site file matches",
    source: "C-04, C-05",
    checkedBy: "preflight",
  },
  "karpenter-installed": {
    title: "Karpenter 1.0 or newer, whose NodePool is served as karpenter.sh/v1",
    severity: "fatal",
    consequence: "the node pools could not be created",
    remedy:
      "install Karpenter with the provider of your cloud (https://karpenter.sh/docs/getting-started), or name nodes that are there: pool: { kind: existing } in the site file",
    source: "Karpenter's documentation",
    checkedBy: "preflight",
    unwaivable: "the API server would refuse the NodePool",
  },
  "namespaces-ours": {
    title: "no namespace of the stack's names, or one of this stack",
    severity: "fatal",
    consequence: "the stack would take over what is not its own, and destroy would delete it",
    remedy: "choose another stack name: pulumi stack init NAME",
    source: "C-44",
    checkedBy: "preflight",
    unwaivable: "destroy would delete what is not the stack's",
  },
  "storage-class": {
    title: "the storage classes that the site names",
    severity: "fatal",
    consequence: "claims would wait for a volume for ever",
    remedy: "name an existing class in the site file under storage, or create it",
    source: "kubernetes documentation, persistent volumes",
    checkedBy: "preflight",
  },
} as const satisfies Record<string, RuleText>;
