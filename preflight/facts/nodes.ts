import type { V1Node } from "@kubernetes/client-node";
import type { Fact } from "./fact.ts";
import { type Client, read } from "./client.ts";

export interface NodeFact {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ready: boolean;
  /** Whether it takes new pods: not cordoned. */
  readonly schedulable: boolean;
  readonly taints: readonly {
    readonly key: string;
    readonly value?: string | undefined;
    readonly effect: string;
  }[];
  /** Allocatable amounts, as Kubernetes writes them. */
  readonly allocatable: Readonly<Record<string, string>>;
  /** What the node itself complains of: `DiskPressure`, `MemoryPressure`, `PIDPressure`, `NetworkUnavailable`. */
  readonly pressures: readonly string[];
  /** Images that it has, as far as it tells: the largest 50. */
  readonly images: readonly string[];
  /** Ranges that its pods get addresses from, where the cluster gives out any by node. */
  readonly podRanges: readonly string[];
  /** Container runtime with its release, such as `containerd://2.2.1`. */
  readonly runtime: string;
  /** Whether KWOK only pretends that the node is there: no program runs on it, no packet flows. */
  readonly simulated: boolean;
}

/** Labels of NVIDIA's GPU feature discovery. */
const productLabel = "nvidia.com/gpu.product";
const memoryLabel = "nvidia.com/gpu.memory";

export function readNodes(client: Client): Promise<Fact<readonly NodeFact[]>> {
  return read(async () => (await client.list<V1Node>("/api/v1/nodes")).map(describeNode));
}

function describeNode({ metadata, spec, status }: V1Node): NodeFact {
  const holds = (type: string) =>
    status?.conditions?.some((one) => one.type === type && one.status === "True") ?? false;
  return {
    name: metadata?.name ?? "",
    labels: metadata?.labels ?? {},
    ready: holds("Ready"),
    schedulable: spec?.unschedulable !== true,
    taints: spec?.taints ?? [],
    allocatable: status?.allocatable ?? {},
    pressures: ["DiskPressure", "MemoryPressure", "PIDPressure", "NetworkUnavailable"].filter(
      holds,
    ),
    images: status?.images?.flatMap(({ names }) => names ?? []) ?? [],
    podRanges: spec?.podCIDRs ?? [],
    runtime: status?.nodeInfo?.containerRuntimeVersion ?? "",
    simulated: metadata?.annotations?.["kwok.x-k8s.io/node"] !== undefined,
  };
}

/** What the GPU feature discovery calls the GPUs of a node; undefined where it does not run. */
export function gpuProduct({ labels }: NodeFact): string | undefined {
  return labels[productLabel];
}

/** Memory of one GPU in MiB, as the GPU feature discovery has it; undefined where it does not run. */
export function gpuMemoryMiB({ labels }: NodeFact): number | undefined {
  const value = Number(labels[memoryLabel] ?? Number.NaN);
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

/** Whether pods might be simulated, which complete without having run; undefined: not known. */
export function simulated(nodes: Fact<readonly NodeFact[]>): boolean | undefined {
  // One is enough: it is unknown on which node a pod will seem to run.
  return nodes.known ? nodes.value.some((node) => node.simulated) : undefined;
}
