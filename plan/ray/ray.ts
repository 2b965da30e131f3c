import type { Basis } from "../host.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import { priorityClassOf } from "../names.ts";
import type { Placement } from "../nodes/index.ts";
import type { Topology } from "../run/index.ts";

const GiB = 2 ** 30;

/** Shared memory of the head beside its object store: 32Gi in all, as NeMo-RL ships it. */
const headSharedMemoryBytes = 32 * GiB;
const headObjectStoreBytes = 20_000_000_000;

/** Shared memory of a GPU node beside the object store: NCCL, vLLM and CUDA IPC (vllm#37982). */
const workerSharedMemoryAllowanceBytes = 64 * GiB;

/** Least memory that must remain for processes, or the pod could not even load the model's index. */
export const leastProcessMemoryBytes = 16 * GiB;

/** Ports that Ray's own processes take in every pod, beside the configurable ones. */
export const fixedRayPorts = { client: 10001, metrics: 8080, dashboardAgent: 52365 } as const;

/** Default range of the ports of Ray's workers. */
export const rayWorkerPorts = { from: 10002, to: 19999 } as const;

export interface RayPod extends Placement {
  readonly cpus: number;
  /** CPUs that Ray may give to actors: none on the head, so that driver, agent loops and trainers stay off it. */
  readonly schedulableCpus: number;
  /** Request and limit in bytes; shared memory counts into it. */
  readonly memoryBytes: number;
  readonly sharedMemoryBytes: number;
  readonly objectStoreBytes: number;
  readonly gpus: number;
  readonly gpuResource: string;
}

export interface RayGroup extends RayPod {
  readonly name: string;
  /** Pods, one per node; never scaled. */
  readonly replicas: number;
}

export interface RayPorts {
  readonly gcs: number;
  readonly dashboard: number;
  readonly client: number;
  readonly metrics: number;
  /** Range of everything that binds port 0 in a training pod: verl's rollout servers, Ray's agents, NCCL. */
  readonly ephemeral: { readonly from: number; readonly to: number };
}

export interface Ray {
  readonly version: string;
  readonly image: string;
  readonly head: RayPod;
  readonly groups: readonly RayGroup[];
  readonly ports: RayPorts;
}

export function planRay(settings: Basis, parts: { topology: Topology; placement: Placement }): Ray {
  const { experiment, host } = settings;
  const { topology, placement } = parts;
  const { ray } = experiment;
  const head: RayPod = {
    cpus: ray.head_cpus,
    schedulableCpus: 0,
    memoryBytes: bytesOf(ray.head_memory),
    sharedMemoryBytes: headSharedMemoryBytes,
    objectStoreBytes: headObjectStoreBytes,
    gpus: 0,
    gpuResource: host.gpu_nodes.resource,
    priorityClass: priorityClassOf(settings.stack),
    nodeSelector: host.cpu_nodes.selector,
    tolerations: host.cpu_nodes.tolerations,
  };
  const groups = topology.groups.map((group): RayGroup => ({
    name: group.name,
    replicas: group.nodes,
    cpus: host.gpu_nodes.cpus,
    schedulableCpus: host.gpu_nodes.cpus,
    memoryBytes: bytesOf(host.gpu_nodes.memory),
    sharedMemoryBytes: wholeGiB(ray.object_store_bytes + workerSharedMemoryAllowanceBytes),
    objectStoreBytes: ray.object_store_bytes,
    gpus: group.gpusPerNode,
    gpuResource: host.gpu_nodes.resource,
    ...placement,
  }));
  return {
    version: ray.version,
    image: experiment.trainer.image ?? host.images.training,
    head,
    groups,
    ports: planPorts(settings),
  };
}

function planPorts({ experiment, host }: Basis): RayPorts {
  const { ray_port: gcs, ray_dashboard_port: dashboard } = experiment.infrastructure;
  const { client, metrics } = fixedRayPorts;
  return { gcs, dashboard, client, metrics, ephemeral: host.network.rollout_ports };
}

function wholeGiB(bytes: number): number {
  return Math.ceil(bytes / GiB) * GiB;
}
