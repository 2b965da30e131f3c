import type { Basis } from "../host.ts";
import type { Topology } from "../run/index.ts";

/** Pods of one kind, each of which needs all its GPUs on one node. */
export interface GpuPods {
  /** `Ray group train`, `frozen model judge`. */
  readonly what: string;
  readonly replicas: number;
  readonly gpus: number;
}

/** The GPUs that a stack takes. */
export interface GpuDemand {
  /** Extended resource of one GPU. */
  readonly resource: string;
  readonly gpusPerNode: number;
  readonly pods: readonly GpuPods[];
  readonly gpus: number;
  /** Nodes that hold all of it, if no other stack uses them: each Ray worker takes a whole one, frozen models share the rest. */
  readonly nodes: number;
}

export function planGpuDemand({ experiment, host }: Basis, topology: Topology): GpuDemand {
  const { gpusPerNode } = topology;
  const pods = [
    ...topology.groups.map((group): GpuPods => ({
      what: `Ray group ${group.name}`,
      replicas: group.nodes,
      gpus: group.gpusPerNode,
    })),
    ...experiment.serving.map(({ name, replicas, gpus }): GpuPods => ({
      what: `frozen model ${name}`,
      replicas,
      gpus,
    })),
  ];
  return {
    resource: host.gpu_nodes.resource,
    gpusPerNode,
    pods,
    gpus: pods.reduce((sum, { replicas, gpus }) => sum + replicas * gpus, 0),
    nodes: wholeNodes(pods, gpusPerNode),
  };
}

/** Empty nodes that hold the pods. Exact for sizes that divide each other, such as powers of two. */
function wholeNodes(pods: readonly GpuPods[], gpusPerNode: number): number {
  const free: number[] = [];
  for (const size of sizesOf(pods)) {
    const node = bestFit(free, size);
    if (node === undefined) free.push(gpusPerNode - size);
    else free[node] = (free[node] ?? 0) - size;
  }
  return free.length;
}

/** `1 × 8 GPUs for Ray group train, 2 × 4 GPUs for frozen model judge` */
export function describeDemand({ pods }: GpuDemand): string {
  return pods
    .map(({ what, replicas, gpus }) => `${replicas} × ${gpus} GPUs for ${what}`)
    .join(", ");
}

/** One entry for each pod: its GPUs, largest first. */
export function sizesOf(pods: readonly GpuPods[]): number[] {
  return pods
    .flatMap(({ replicas, gpus }) => Array<number>(replicas).fill(gpus))
    .sort((a, b) => b - a);
}

/** Index of the node with the fewest free GPUs that still fit; undefined if none does. */
export function bestFit(free: readonly number[], size: number): number | undefined {
  let best: number | undefined;
  free.forEach((gpus, i) => {
    if (gpus >= size && (best === undefined || gpus < (free[best] ?? 0))) best = i;
  });
  return best;
}
