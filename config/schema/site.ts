/** The site layer: facts about one cluster, written once and shared by all experiments on it. */
import { z } from "zod";
import { checkTraining, pushedBuild } from "./image-build.ts";
import { isolation } from "./isolation.ts";
import { gpuPool, sandboxPool } from "./node-pool.ts";
import {
  absolutePath,
  byteQuantity,
  count,
  dnsLabel,
  extendedResource,
  image,
  labels,
  port,
  toleration,
} from "./scalars.ts";

const nodes = z.strictObject({
  selector: labels().default({}).describe("Node labels that all must match."),
  tolerations: z.array(toleration()).default([]).describe("Taints that the pods tolerate."),
});

const sandboxNodes = nodes
  .extend({
    pool: sandboxPool(),
    runtime_classes: z
      .strictObject({
        gvisor: dnsLabel().default("gvisor").describe("RuntimeClass of gVisor."),
        kata: dnsLabel().default("kata").describe("RuntimeClass of Kata Containers."),
      })
      .prefault({})
      .describe("RuntimeClasses of the sandbox profiles that need one."),
  })
  .superRefine(checkPool);

const gpuNodes = z
  .strictObject({
    pool: gpuPool(),
    selector: labels()
      .default({})
      .describe("Node labels that select the GPU nodes; required of `existing` nodes."),
    tolerations: z
      .array(toleration())
      .default([{ key: "nvidia.com/gpu", operator: "Exists" }])
      .describe("Taints that the training pods tolerate."),
    claim: z
      .array(z.string())
      .default([])
      .describe(
        "Names of nodes to reserve for a stack: they get its label and a taint that keeps other pods away until destroy.",
      ),
    resource: extendedResource()
      .default("nvidia.com/gpu")
      .describe("Extended resource of one GPU, as kubectl describe node lists it."),
    cpus: count().default(96).describe("CPUs of one training pod (it takes a whole node)."),
    gpu_memory: byteQuantity()
      .optional()
      .describe(
        "Memory of one GPU, as nvidia-smi shows it: 140Gi of an H200, 79Gi of an H100. Omitted: unknown.",
      ),
    memory: byteQuantity()
      .default("1400Gi")
      .describe("Memory limit of one training pod; its /dev/shm counts into it."),
  })
  .superRefine((gpu, context) => {
    checkPool(gpu, context);
    if (gpu.pool.kind === "existing" && Object.keys(gpu.selector).length === 0) {
      context.addIssue({
        code: "custom",
        path: ["selector"],
        message: "must name at least one label, or training could land on any node",
      });
    }
    if (gpu.pool.kind === "karpenter" && gpu.claim.length > 0) {
      context.addIssue({
        code: "custom",
        path: ["claim"],
        message:
          "names nodes, but pool.kind is karpenter, whose nodes are the stack's own anyway. Leave one of them out",
      });
    }
  });

/** Nodes that Karpenter makes carry the pool's label, and what they are is said by its requirements. */
function checkPool(
  { pool, selector }: { pool: { kind: string }; selector: Record<string, string> },
  context: z.RefinementCtx,
): void {
  if (pool.kind === "existing" || Object.keys(selector).length === 0) return;
  context.addIssue({
    code: "custom",
    path: ["selector"],
    message:
      "must be left out where pool.kind is karpenter: its nodes carry the pool's own label. Say under pool.requirements what they must be",
  });
}

const backing = {
  mount_path: absolutePath().describe("Where the training pods see the volume."),
};

const accessMode = () =>
  z
    .enum(["ReadWriteMany", "ReadWriteOnce"])
    .default("ReadWriteMany")
    .describe("`ReadWriteOnce` only where all pods of a run share one node.");

const claim = z.strictObject({
  kind: z.literal("claim"),
  storage_class: z.string().optional().describe("StorageClass. Omitted: the cluster's default."),
  access_mode: accessMode(),
});
const existing = z.strictObject({
  kind: z.literal("existing"),
  volume: z.string().describe("Name of a PersistentVolume that is there already."),
  access_mode: accessMode(),
});
const nfs = z.strictObject({
  kind: z.literal("nfs"),
  server: z.string().describe("Host name or address of the NFS server."),
  path: absolutePath().describe("Exported directory."),
});
const hostPath = z.strictObject({
  kind: z.literal("host_path"),
  path: absolutePath().describe("Directory on the node. Only for sites with one GPU node."),
});

const backend = (purpose: string) =>
  z
    .discriminatedUnion("kind", [claim, existing, nfs, hostPath])
    .prefault({ kind: "claim" })
    .describe(purpose);

const input = (purpose: string) =>
  z
    .discriminatedUnion("kind", [
      claim.extend({
        ...backing,
        size: byteQuantity().default("1Ti").describe("Capacity to claim."),
      }),
      existing.extend(backing),
      nfs.extend(backing),
      hostPath.extend(backing),
    ])
    .describe(purpose);

/** Both kinds of site run the same proxy. */
export const defaultLiteLlm = "ghcr.io/berriai/litellm-non_root:v1.106.2";

export const tracking = () =>
  z
    .enum(["allowed", "offline", "disabled"])
    .default("allowed")
    .describe("Whether runs may talk to Weights & Biases: `allowed` leaves it to the experiment.");

export const kubernetesSite = z.strictObject({
  kind: z
    .literal("kubernetes")
    .optional()
    .default("kubernetes")
    .describe("What the site is. Default: `kubernetes`."),
  cluster: z
    .strictObject({
      context: z
        .string()
        .min(1)
        .describe(
          "Context in the kubeconfig ($KUBECONFIG, else ~/.kube/config). Named, so that no command hits whatever is current.",
        ),
      mutating_admission: z
        .enum(["v1", "v1beta1", "none"])
        .default("v1beta1")
        .describe(
          "Version in which the API server serves MutatingAdmissionPolicy, which completes Harbor's pods (v1beta1: Kubernetes 1.34 and 1.35, where its feature gate and API are switched on). `none`: Harbor's pods must bring all of it themselves.",
        ),
    })
    .describe("The cluster."),
  gpu_nodes: gpuNodes.describe("Nodes of the trainer and the rollout servers."),
  cpu_nodes: nodes.prefault({}).describe("Nodes of the Ray head, the proxy and the job submitter."),
  sandbox_nodes: sandboxNodes.prefault({}).describe("Nodes of the sandboxes."),
  images: z
    .strictObject({
      training: image()
        .optional()
        .describe(
          "Image with Ray, verl, vLLM, Harbor and the agent loops. You build it; docs/training-image.md lists what it must hold. Required unless `build` is there.",
        ),
      build: pushedBuild(),
      litellm: image().default(defaultLiteLlm).describe("LiteLLM proxy image."),
      gate: image()
        .default("docker.io/library/python:3.13.5-slim-bookworm")
        .describe(
          "Image with python3 for the entry gate of every sandbox, the egress proof and its listeners.",
        ),
      vllm: image()
        .optional()
        .describe("Image of the frozen models (`serving`). Default: the training image."),
      pause: image()
        .default("registry.k8s.io/pause:3.10")
        .describe("Image that does nothing, for `sandbox.prepull`; nodes have it for their pods."),
    })
    .superRefine(checkTraining)
    .describe("Container images."),
  storage: z
    .strictObject({
      checkpoints: backend("Where checkpoints live."),
      logs: backend("Where logs live."),
      trials: backend("Where trials and trajectories live."),
      group: z
        .int()
        .min(1)
        .max(2 ** 31 - 1)
        .optional()
        .describe(
          "Number of the group that owns what is in these volumes, for a training image whose user is not root: Kubernetes gives it the files (`fsGroup`) and to the training pods. On NFS and host paths it changes no file: there give the directories to the group yourself. Default: as the image and the volumes are.",
        ),
    })
    .prefault({})
    .describe("Backing of the retained volumes."),
  volumes: z
    .strictObject({
      models: input("Policy checkpoints to start from, mounted read-only."),
      data: input("Task indexes and task data, mounted read-only."),
    })
    .describe("Volumes with the inputs of a run."),
  network: z
    .strictObject({
      interface: z
        .string()
        .default("eth0")
        .describe("Network interface of NCCL, Gloo and TensorPipe in every training pod (C-39)."),
      rollout_ports: z
        .strictObject({
          from: port().describe("First port."),
          to: port().describe("Last port."),
        })
        .prefault({ from: 40000, to: 49999 })
        .describe(
          "Range from which the training pods take their own ports, rollout servers and proxies in process among them.",
        ),
      dns: z
        .strictObject({
          namespace: dnsLabel().default("kube-system").describe("Namespace of its pods."),
          labels: labels().default({ "k8s-app": "kube-dns" }).describe("Labels of its pods."),
        })
        .prefault({})
        .describe("Where the cluster's DNS answers."),
      api_server_ports: z
        .array(z.int().min(1).max(65535))
        .min(1)
        .default([443, 6443])
        .describe(
          "Ports on which the API server itself answers (`kubectl get endpointslices -n default kubernetes`); policies see these, and not that of its Service.",
        ),
      monitoring_namespaces: z
        .array(dnsLabel())
        .default([])
        .describe("Namespaces whose pods may scrape metrics."),
    })
    .prefault({})
    .describe("Network of the cluster."),
  isolation: isolation(),
  harbor: z
    .strictObject({
      task_image_registry: z
        .string()
        .optional()
        .describe("Registry with prebuilt task images (`HARBOR_OPENSWE_IMAGE_REGISTRY`)."),
      inline_build: z
        .boolean()
        .default(false)
        .describe(
          "Build task images inside the sandbox (`HARBOR_K8S_INLINE_BUILD`). Refused on Kubernetes: the build needs a hostPath.",
        ),
      netadmin_image: image()
        .optional()
        .describe(
          "Image of the in-pod firewall (`HARBOR_NETADMIN_IMAGE`); the sandbox profile `sidecar` needs it (C-29).",
        ),
      nydus_mirror: z
        .string()
        .optional()
        .describe("Lazy-pull mirror, `host:port` (`HARBOR_NYDUS_MIRROR`)."),
    })
    .prefault({})
    .describe("What Harbor must know about the cluster."),
  tracking: tracking(),
  timeouts: z
    .strictObject({
      rollout_minutes: count()
        .default(45)
        .describe(
          "Minutes that `pulumi up` waits for the policy to be served; CUDA-graph capture alone takes 10 to 20.",
        ),
      deletion_seconds: count()
        .default(600)
        .describe(
          "Seconds that the deletion of one object may take: its pods end within their grace periods.",
        ),
    })
    .prefault({})
    .describe("Time limits."),
});

export type KubernetesSite = z.output<typeof kubernetesSite>;
