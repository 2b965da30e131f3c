/** The simulated nodes. */
import { createHash } from "node:crypto";
import { pause } from "../interrupt.ts";
import { LabError } from "../problem.ts";
import { formatCount } from "../progress.ts";
import type { Api, KubernetesObject } from "./api.ts";

interface Pool {
  readonly name: "gpu" | "sandbox" | "cpu";
  readonly count: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly effect: string }[];
  readonly capacity: Readonly<Record<string, string>>;
}

/** Enough for every tier: the three-node tier uses all GPU nodes. */
export const defaultGpuNodes = 3;

export function pools(gpuNodes: number): readonly Pool[] {
  return [
    {
      name: "gpu",
      count: gpuNodes,
      labels: {
        "nvidia.com/gpu.product": "NVIDIA-H200",
        "nvidia.com/gpu.memory": "143771",
        "nvidia.com/gpu.count": "8",
      },
      capacity: { cpu: "192", memory: "2Ti", pods: "110", "nvidia.com/gpu": "8" },
    },
    {
      name: "sandbox",
      count: 2,
      taints: [{ key: "swe-rl.dev/sandbox", effect: "NoSchedule" }],
      // Together at least the 512 concurrent sandboxes of the asynchronous tiers.
      capacity: { cpu: "256", memory: "2Ti", pods: "300" },
    },
    { name: "cpu", count: 1, capacity: { cpu: "64", memory: "512Gi", pods: "110" } },
  ];
}

export interface NodeObject extends KubernetesObject {
  readonly metadata: KubernetesObject["metadata"] & {
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly status?: {
    readonly capacity?: Readonly<Record<string, string>>;
    readonly allocatable?: Readonly<Record<string, string>>;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

const poolLabel = "swe-rl.dev/pool";
/** Hash of the node that the lab applied; `up` changes a node only if this hash differs. */
const hashAnnotation = "swe-rl.dev/lab";
const path = "/api/v1/nodes";

export function nodeObjects(gpuNodes: number): NodeObject[] {
  return pools(gpuNodes).flatMap((pool) =>
    Array.from({ length: pool.count }, (_, i) => nodeObject(pool, `${pool.name}-${i}`)),
  );
}

function nodeObject(pool: Pool, name: string): NodeObject {
  const capacity = { ...pool.capacity, "ephemeral-storage": "16Ti" };
  const node = {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      labels: {
        type: "kwok",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        [poolLabel]: pool.name,
        ...pool.labels,
      },
      annotations: { "kwok.x-k8s.io/node": "fake" },
    },
    spec: { taints: pool.taints ?? [] },
    status: { capacity, allocatable: capacity },
  } as const;
  const hash = createHash("sha256").update(JSON.stringify(node)).digest("hex").slice(0, 12);
  const annotations = { ...node.metadata.annotations, [hashAnnotation]: hash };
  return { ...node, metadata: { ...node.metadata, annotations } };
}

/**
 * Creates, updates and removes nodes, and waits until all are ready.
 * @returns Descriptions of the changes.
 */
export async function provideNodes(api: Api, wanted: readonly NodeObject[]): Promise<string[]> {
  const existing = await api.list<NodeObject>(path);
  const hashOf = (node: NodeObject | undefined) => node?.metadata.annotations?.[hashAnnotation];
  const find = (list: readonly NodeObject[], { metadata }: NodeObject) =>
    list.find((node) => node.metadata.name === metadata.name);
  const changed = wanted.filter((node) => hashOf(find(existing, node)) !== hashOf(node));
  const surplus = existing.filter((node) => hashOf(node) !== undefined && !find(wanted, node));
  await Promise.all(
    changed.map(async (node) => {
      await api.apply(`${path}/${node.metadata.name}`, node);
      await api.apply(`${path}/${node.metadata.name}/status`, node);
    }),
  );
  await Promise.all(surplus.map(({ metadata }) => api.delete(`${path}/${metadata.name}`)));
  await waitUntilReady(api, wanted);
  return [
    ...(changed.length ? [formatCount(changed.length, "node")] : []),
    ...(surplus.length ? [`${formatCount(surplus.length, "node")} removed`] : []),
  ];
}

async function waitUntilReady(api: Api, wanted: readonly NodeObject[]): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const ready = (await api.list<NodeObject>(path)).filter(isReady);
    const late = wanted.filter(
      (node) => !ready.some(({ metadata }) => metadata.name === node.metadata.name),
    );
    if (late.length === 0) return;
    if (Date.now() > deadline) {
      const names = late.map(({ metadata }) => metadata.name).join(", ");
      throw new LabError(`KWOK did not make these nodes ready: ${names}`);
    }
    await pause(200);
  }
}

export function isReady({ status }: NodeObject): boolean {
  return (
    status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false
  );
}
