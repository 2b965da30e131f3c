import { noAttempts } from "../../plan/attempts.ts";
import type { Facts } from "../../preflight/facts/facts.ts";
import type { NodeFact } from "../../preflight/facts/nodes.ts";
import type { PodFact } from "../../preflight/facts/pods.ts";
import type { Fact } from "../../preflight/facts/fact.ts";

export function known<T>(value: T): Fact<T> {
  return { known: true, value };
}

/** A node of a pool like the lab's, but real. */
export function nodeFact(
  name: string,
  pool: "gpu" | "cpu" | "sandbox",
  change: Partial<NodeFact> = {},
): NodeFact {
  const allocatable = {
    gpu: { cpu: "192", memory: "2Ti", pods: "110", "nvidia.com/gpu": "8" },
    cpu: { cpu: "64", memory: "512Gi", pods: "110" },
    sandbox: { cpu: "256", memory: "4Ti", pods: "400" },
  }[pool];
  return {
    name,
    labels: {
      "swe-rl.dev/pool": pool,
      ...(pool === "gpu"
        ? { "nvidia.com/gpu.product": "NVIDIA-H200", "nvidia.com/gpu.memory": "143771" }
        : {}),
    },
    ready: true,
    schedulable: true,
    taints: pool === "sandbox" ? [{ key: "swe-rl.dev/sandbox", effect: "NoSchedule" }] : [],
    allocatable: { ...allocatable, "ephemeral-storage": "16Ti" },
    pressures: [],
    images: [],
    podRanges: ["10.244.0.0/24"],
    runtime: "containerd://2.2.1",
    simulated: false,
    ...change,
  };
}

export function podFact(change: Partial<PodFact> = {}): PodFact {
  return {
    node: undefined,
    stack: undefined,
    namespace: "other",
    requests: { cpus: 1, memoryBytes: 2 ** 30, ephemeralBytes: 0, gpus: 0 },
    nodeSelector: {},
    tolerations: [],
    addresses: [],
    seesGpus: undefined,
    failedPulls: [],
    ...change,
  };
}

/** Images of the lab's site and the shipped experiments, by the nodes whose pods name them. */
export const imagesOfNodes = {
  gpu: ["swe-rl.invalid/training:lab"],
  cpu: [
    "swe-rl.invalid/training:lab",
    "ghcr.io/berriai/litellm-non_root:v1.106.2",
    "docker.io/library/python:3.13.5-slim-bookworm",
  ],
  sandbox: ["docker.io/library/python:3.13.5-slim-bookworm", "docker.io/jierun/c-cc-2.1.118:v0.1"],
} as const;

/** A cluster on which all is well for the single-node tier on the lab's site. */
export function factsWith(change: Partial<Facts> = {}): Facts {
  return {
    server: known("v1.34.4"),
    identity: known("uid-of-this-cluster"),
    features: known({
      minor: 34,
      validatingAdmissionPolicy: ["v1"],
      mutatingAdmissionPolicy: ["v1beta1"],
      imageVolumes: false,
      userNamespaces: true,
    }),
    rayClusterVersions: known(["v1", "v1alpha1"]),
    nodePoolVersions: known([]),
    operator: known({
      namespace: "kuberay-system",
      name: "kuberay-operator",
      image: "quay.io/kuberay/operator:v1.6.0",
      version: "1.6.0",
      ready: 1,
    }),
    nodes: known([
      nodeFact("gpu-0", "gpu", { images: imagesOfNodes.gpu }),
      nodeFact("cpu-0", "cpu", { images: imagesOfNodes.cpu }),
      nodeFact("sandbox-0", "sandbox", { images: imagesOfNodes.sandbox }),
    ]),
    pods: known([]),
    namespaces: known([]),
    namesakes: known([]),
    storageClasses: known([
      {
        name: "swe-rl-lab",
        provisioner: "kubernetes.io/no-provisioner",
        reclaimPolicy: "Retain",
        bindingMode: "Immediate",
        isDefault: false,
      },
    ]),
    volumes: known(
      Array.from({ length: 3 }, (_, i) => ({
        name: `lab-${i}`,
        storageClass: "swe-rl-lab",
        phase: "Available",
        accessModes: ["ReadWriteOnce", "ReadWriteMany"],
        bytes: 10 * 2 ** 40,
        claim: undefined,
        bound: false,
        stack: undefined,
        place: undefined,
        runDirectory: undefined,
        readOnly: undefined,
      })),
    ),
    claims: known([]),
    missingRights: known([]),
    bounds: known({ quotas: [], limitRanges: [] }),
    admission: known({ refused: [], accepted: [], untried: [], watchers: [] }),
    networkAgents: known([
      { daemonSet: "kube-system/calico-node", product: "Calico", enforces: true },
    ]),
    policies: known([]),
    otherPolicies: known([]),
    builder: known({ version: "28.5.2" }),
    runtimeClasses: known([]),
    run: known(undefined),
    apiServerPorts: known([6443]),
    attempts: known(noAttempts),
    ...change,
  };
}
