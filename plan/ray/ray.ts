import type { Settings } from "../../config/load/load.ts";
import type { SettingPath } from "../../config/load/problem.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import { machineSetting } from "../nodes/machine.ts";
import { priorityClassOf } from "../names.ts";
import type { Placement } from "../nodes/pools.ts";
import type { Problems } from "../problems.ts";
import type { Topology } from "../run/topology.ts";

const GiB = 2 ** 30;

/** Shared memory of the head beside its object store: 32Gi in all, as NeMo-RL ships it. */
const headSharedMemoryBytes = 32 * GiB;
const headObjectStoreBytes = 20_000_000_000;

/** Shared memory of a GPU node beside the object store: NCCL, vLLM and CUDA IPC (vllm#37982). */
const workerSharedMemoryAllowanceBytes = 64 * GiB;

/** Least memory that must remain for processes, or the pod could not even load the model's index. */
const leastProcessMemoryBytes = 16 * GiB;

/** Ports that Ray's own processes take in every pod, beside the configurable ones. */
const fixedRayPorts = { client: 10001, metrics: 8080, dashboardAgent: 52365 } as const;

/** Ray's workers take ports from this range unless told otherwise. */
const rayWorkerPorts = { from: 10002, to: 19999 } as const;

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

export function planRay(
  settings: Settings,
  parts: { topology: Topology; placement: Placement },
  problems: Problems,
): Ray {
  const { experiment, site } = settings;
  const { topology, placement } = parts;
  const { ray } = experiment;
  const head: RayPod = {
    cpus: ray.head_cpus,
    schedulableCpus: 0,
    memoryBytes: bytesOf(ray.head_memory),
    sharedMemoryBytes: headSharedMemoryBytes,
    objectStoreBytes: headObjectStoreBytes,
    gpus: 0,
    gpuResource: site.gpu_nodes.resource,
    priorityClass: priorityClassOf(settings.stack),
    nodeSelector: site.cpu_nodes.selector,
    tolerations: site.cpu_nodes.tolerations,
  };
  const groups = topology.groups.map((group): RayGroup => ({
    name: group.name,
    replicas: group.nodes,
    cpus: site.gpu_nodes.cpus,
    schedulableCpus: site.gpu_nodes.cpus,
    memoryBytes: bytesOf(site.gpu_nodes.memory),
    sharedMemoryBytes: wholeGiB(ray.object_store_bytes + workerSharedMemoryAllowanceBytes),
    objectStoreBytes: ray.object_store_bytes,
    gpus: group.gpusPerNode,
    gpuResource: site.gpu_nodes.resource,
    ...placement,
  }));
  checkMemory(["ray", "head_memory"], head, problems);
  for (const group of groups) checkMemory(machineSetting(settings, "memory"), group, problems);
  if (site.network.interface === "lo") {
    problems.error(
      "C-40",
      ["site", "network", "interface"],
      "is lo, on which no other pod is heard: nodes cannot find each other, and agents cannot reach the model. Name the interface of the pod network, such as eth0.",
    );
  }
  if (compareVersions(ray.version, "2.52.0") < 0) {
    problems.error(
      "ray-token",
      ["ray", "version"],
      `is ${ray.version}; token authentication needs at least 2.52.0, and without it anyone who reaches the dashboard runs code (ray#56563).`,
    );
  }
  return {
    version: ray.version,
    image: experiment.trainer.image ?? site.images.training,
    head,
    groups,
    ports: planPorts(settings, problems),
  };
}

function checkMemory(path: SettingPath, pod: RayPod, problems: Problems): void {
  const rest = pod.memoryBytes - pod.sharedMemoryBytes;
  if (rest < leastProcessMemoryBytes) {
    problems.error(
      "shared-memory",
      path,
      `is ${inGiB(pod.memoryBytes)}, of which /dev/shm takes ${inGiB(pod.sharedMemoryBytes)} (object store ${inGiB(pod.objectStoreBytes)}): ${inGiB(rest)} remain for processes, and the kernel would kill them. Give at least ${inGiB(pod.sharedMemoryBytes + leastProcessMemoryBytes)}.`,
    );
  }
}

type FixedPort = readonly [path: string[], name: string, port: number];

function proxyPorts({ proxy, infrastructure }: Settings["experiment"]): FixedPort[] {
  if (proxy.mode !== "litellm") return [];
  return [
    [["infrastructure", "litellm_port"], "LiteLLM", infrastructure.litellm_port],
    [["proxy", "recorder_port"], "the recorder", proxy.recorder_port],
  ];
}

function planPorts({ experiment, site }: Settings, problems: Problems): RayPorts {
  const { ray_port: gcs, ray_dashboard_port: dashboard } = experiment.infrastructure;
  const { rollout_ports: ephemeral } = site.network;
  const rangePath = ["site", "network", "rollout_ports"];
  if (ephemeral.to - ephemeral.from < 999) {
    problems.error(
      "port-range",
      rangePath,
      `${ephemeral.from}-${ephemeral.to} has fewer than 1000 ports; NCCL, Ray and vLLM would run out of them. Widen it.`,
    );
  }
  const single: readonly FixedPort[] = [
    [["infrastructure", "ray_port"], "Ray's control store", gcs],
    [["infrastructure", "ray_dashboard_port"], "Ray's dashboard", dashboard],
    ...proxyPorts(experiment),
    [rangePath, "Ray's client server", fixedRayPorts.client],
    [rangePath, "Ray's metrics", fixedRayPorts.metrics],
    [rangePath, "Ray's dashboard agent", fixedRayPorts.dashboardAgent],
  ];
  single.forEach(([path, name, port], i) => {
    const twin = single.slice(0, i).find(([, , other]) => other === port);
    if (twin) problems.error("C-06", path, `port ${port} of ${name} is also that of ${twin[1]}.`);
    if (port >= ephemeral.from && port <= ephemeral.to) {
      problems.error(
        "C-06",
        path,
        `port ${port} of ${name} lies in the range ${ephemeral.from}-${ephemeral.to} of the rollout servers (site network.rollout_ports): either could take it first.`,
      );
    }
    if (port >= rayWorkerPorts.from && port <= rayWorkerPorts.to) {
      problems.error(
        "port-range",
        path,
        `port ${port} of ${name} lies in the range ${rayWorkerPorts.from}-${rayWorkerPorts.to} of Ray's workers: Ray refuses to start.`,
      );
    }
  });
  if (ephemeral.from <= rayWorkerPorts.to && ephemeral.to >= rayWorkerPorts.from) {
    problems.error(
      "port-range",
      rangePath,
      `${ephemeral.from}-${ephemeral.to} overlaps the range ${rayWorkerPorts.from}-${rayWorkerPorts.to} of Ray's workers.`,
    );
  }
  return {
    gcs,
    dashboard,
    client: fixedRayPorts.client,
    metrics: fixedRayPorts.metrics,
    ephemeral,
  };
}

function wholeGiB(bytes: number): number {
  return Math.ceil(bytes / GiB) * GiB;
}

function inGiB(bytes: number): string {
  return `${Math.floor(bytes / GiB)}Gi`;
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
