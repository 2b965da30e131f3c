import type { RuleText } from "./text.ts";

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
  "kubernetes-version": {
    title: "Kubernetes 1.30 or newer",
    severity: "fatal",
    consequence: "the API server would refuse or ignore what isolates the sandboxes",
    remedy:
      "upgrade the control plane, or name another cluster in cluster.context of the site file",
    source: "KEP-3488: ValidatingAdmissionPolicy is served as v1 from 1.30 on",
    checkedBy: "preflight",
  },
  "nodes-ready": {
    title: "at least one ready node",
    severity: "fatal",
    consequence: "no pod would ever start",
    remedy: "see what is wrong: kubectl get nodes",
    source: "C-25",
    checkedBy: "preflight",
  },
  "nodes-fit": {
    title: "the stack's nodes ready, without pressure on disk, memory or process ids",
    severity: "warn",
    consequence: "pods would be evicted from them, or wait for other nodes",
    remedy: "see what is wrong: kubectl describe node NAME",
    source: "C-38",
    checkedBy: "preflight",
  },
  "kuberay-operator": {
    title: "a KubeRay operator 1.6 or newer with a ready pod",
    severity: "fatal",
    consequence: "the RayCluster would be accepted, and nobody would make its pods",
    remedy:
      "helm repo update && helm upgrade kuberay-operator kuberay/kuberay-operator -n kuberay-system",
    source: "KubeRay's release notes: token authentication from 1.6 on",
    checkedBy: "preflight",
  },
  "gpu-products": {
    title: "GPU nodes of one product",
    severity: "warn",
    consequence:
      "all ranks wait for the slowest GPU, and what fits the memory of one may not fit another",
    remedy:
      "select one product in the site file: gpu_nodes.selector: { nvidia.com/gpu.product: NAME }",
    source: "C-39 in spirit: equal nodes for equal ranks",
    checkedBy: "preflight",
  },
  "gpu-node-memory": {
    title: "GPUs with the memory that gpu_nodes.gpu_memory of the site says, less 5 % at most",
    severity: "fatal",
    consequence:
      "the run was sized for larger GPUs: trainer or rollout would run out of memory, perhaps hours into it",
    remedy:
      "set gpu_nodes.gpu_memory of the site file to what nvidia-smi shows, or select other nodes with gpu_nodes.selector",
    source: "GPU feature discovery: nvidia.com/gpu.memory, in MiB",
    checkedBy: "preflight",
  },
  "gpu-node-room": {
    title: "GPU nodes with the CPUs and the memory of a Ray worker free, /dev/shm counted",
    severity: "fatal",
    consequence: "the workers would wait for a node until the rollout budget is spent",
    remedy: "set gpu_nodes.cpus and gpu_nodes.memory of the site file to what is free",
    source: "C-38, vllm#37982, verl#242",
    checkedBy: "preflight",
  },
  "cpu-node-room": {
    title: "nodes of cpu_nodes.selector with room for the Ray head and the proxy",
    severity: "fatal",
    consequence:
      "Ray would have no head, or sandboxes no proxy: pulumi up would wait until its time is up",
    remedy:
      "correct cpu_nodes.selector in the site file, add a node, or lower ray.head_memory: kubectl get nodes --show-labels",
    source: "verl#242, kuberay#3414",
    checkedBy: "preflight",
  },
  "sandbox-room": {
    title: "room for as many sandboxes as may run at once",
    severity: "fatal",
    consequence: "no sandbox would ever start, and every trial would end with env_setup_failed",
    remedy:
      "add nodes that sandbox_nodes.selector of the site file matches, raise their maxPods, or lower sandbox.parallel_trials",
    source: "practice of Lego-RL's cluster baseline: parallel trials within the sum of maxPods",
    checkedBy: "preflight",
  },
  "node-pool-limits": {
    title: "Karpenter pools whose limits hold the stack's pods",
    severity: "fatal",
    consequence: "Karpenter would stop before the last node",
    remedy: "raise pool.limits in the site file, or leave it out",
    source: "Karpenter's documentation: limits of a NodePool",
    checkedBy: "preflight",
  },
  rights: {
    title: "the right to make, read, change and delete everything that the stack has",
    severity: "fatal",
    consequence: "pulumi up would end half-way with 403",
    remedy: "have somebody grant the account a role with these rights",
    source: "C-26",
    checkedBy: "preflight",
    unwaivable: "the API server would refuse the objects",
  },
  "objects-ours": {
    title: "no object of somebody else with a name of the stack's own",
    severity: "fatal",
    consequence:
      "pulumi up would end half-way with AlreadyExists, or take over what is not its own",
    remedy: "choose another stack name: pulumi stack init NAME",
    source: "C-44",
    checkedBy: "preflight",
    unwaivable: "destroy would delete what is not the stack's",
  },
  admission: {
    title: "admission that takes the stack's namespaces and pods",
    severity: "fatal",
    consequence: "pulumi up would end half-way with a refusal",
    remedy:
      "have whoever runs the admission exempt the stack's namespaces: kubectl get validatingwebhookconfigurations,validatingadmissionpolicies",
    source: "Kyverno and Gatekeeper; asked by a server-side dry run",
    checkedBy: "preflight",
  },
  quota: {
    title: "quotas of others that leave what the stack needs",
    severity: "fatal",
    consequence: "the API server would refuse the last pods, and the run would wait for them",
    remedy: "have the quota raised",
    source: "Kubernetes' documentation: resource quotas",
    checkedBy: "preflight",
  },
  "limit-range": {
    title: "limit ranges of others that admit the stack's pods",
    severity: "fatal",
    consequence: "the API server would refuse the pods",
    remedy: "have the limit range raised",
    source: "Kubernetes' documentation: limit ranges",
    checkedBy: "preflight",
  },
  "storage-reclaim": {
    title: "checkpoints on a storage class that keeps what a deleted claim held",
    severity: "warn",
    consequence: "whoever deletes the kept claim or its namespace deletes the checkpoints as well",
    remedy:
      "name a class with reclaimPolicy Retain in the site file under storage: kubectl get storageclasses",
    source: "Kubernetes' documentation: reclaiming",
    checkedBy: "preflight",
  },
  "storage-volume": {
    title: "existing volumes that are free, with the access mode that the site says",
    severity: "fatal",
    consequence: "the claim would wait for the volume for ever",
    remedy: "correct the volume in the site file: kubectl get persistentvolumes",
    source: "kubernetes#135387",
    checkedBy: "preflight",
  },
  "storage-claim": {
    title: "kept claims that are as the stack wants them",
    severity: "fatal",
    consequence:
      "the API server would refuse the change, since a claim keeps its class and never shrinks",
    remedy:
      "set class, access mode and size in the files to those of the claim: kubectl get pvc -A",
    source: "Kubernetes' documentation: persistent volume claims",
    checkedBy: "preflight",
  },
  "storage-supply": {
    title: "a free volume for every claim of a class without a provisioner",
    severity: "fatal",
    consequence: "the claim would wait for a volume for ever",
    remedy: "make one, or name a class that makes them on demand: kubectl get persistentvolumes",
    source: "kubernetes#135387",
    checkedBy: "preflight",
  },
  "C-34": {
    title: "at least 50 GB for checkpoints",
    severity: "warn",
    consequence: "a checkpoint cannot be written, and the run ends",
    remedy: "raise storage.checkpoints.size",
    source: "C-34",
    checkedBy: "preflight",
  },
  "network-enforced": {
    title: "a network that enforces NetworkPolicy",
    severity: "fatal",
    consequence:
      "network policies are declared and nobody enforces them: untrusted code in the sandboxes reaches the internet and the cluster",
    remedy:
      "install a network that enforces them (Calico, Cilium, Antrea, kube-router), or an enforcer beside this one: https://github.com/kubernetes-sigs/kube-network-policies",
    source: "k3s#947, hephaestus#1722; measured with kube-router 2.7.1",
    checkedBy: "preflight",
  },
  "policies-ours": {
    title: "no network policy of somebody else that opens the stack's namespaces",
    severity: "fatal",
    consequence: "policies add up: whoever it lets in reaches the policy and the run",
    remedy: "delete the policy",
    source: "Kubernetes' documentation: network policies are additive",
    checkedBy: "preflight",
  },
  "policies-known": {
    title: "no network policies of other kinds than Kubernetes' own",
    severity: "warn",
    consequence: "they may open what the stack's own close",
    remedy: "look at them: do they select the stack's namespaces?",
    source: "AdminNetworkPolicy, Cilium, Calico and Antrea",
    checkedBy: "preflight",
  },
  "images-there": {
    title: "images that the nodes have, or can pull",
    severity: "warn",
    consequence: "pods that cannot pull wait until the rollout budget is spent",
    remedy: "pull it once on a node, or check name and credentials",
    source: "SWE-agent#1260",
    checkedBy: "preflight",
  },
} as const satisfies Record<string, RuleText>;
