import type { Basis } from "../host.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import type { GpuDemand } from "./demand.ts";
import type { Disruption, PoolDisruption } from "./disruption.ts";
import { poolLabel } from "./placement.ts";
import { nodePoolOf } from "../names.ts";

/** Of the sandboxes that run at once. */
interface Quota {
  readonly quota: { readonly cpus: number; readonly memoryRequestBytes: number };
}

interface Requirement {
  readonly key: string;
  readonly operator: string;
  readonly values: readonly string[];
}

/** Nodes that Karpenter makes for one stack, and for nothing else. */
export interface NodePool {
  readonly purpose: "gpu" | "sandbox";
  /** Name on the cluster: `<stack>-gpu`. */
  readonly name: string;
  readonly nodeClass: { readonly group: string; readonly kind: string; readonly name: string };
  readonly requirements: readonly Requirement[];
  /** On the nodes, and demanded by the stack's pods. */
  readonly label: Readonly<Record<string, string>>;
  /** Keeps every other pod away. */
  readonly taint: { readonly key: string; readonly value: string; readonly effect: "NoSchedule" };
  /** Most that the pool may have in all, so that a mistake cannot buy a data centre. */
  readonly limits: Readonly<Record<string, string | number>>;
  readonly disruption: PoolDisruption;
}

/** Sandbox nodes beyond the quota: what the system's own pods take, and the last node's remainder. */
const sandboxHeadroom = 1.5;

export function planNodePools(
  settings: Basis,
  parts: { demand: GpuDemand; sandboxes: Quota; disruption: Disruption },
): NodePool[] {
  const { gpu_nodes: gpu, sandbox_nodes: sandbox } = settings.host;
  const { demand, sandboxes, disruption } = parts;
  const pools: NodePool[] = [];
  if (gpu.pool.kind === "karpenter") {
    const gpus = demand.nodes * demand.gpusPerNode;
    pools.push({
      ...ownPool(settings, "gpu", disruption),
      ...made(gpu.pool),
      limits: gpu.pool.limits ?? { [demand.resource]: gpus },
    });
  }
  if (sandbox.pool.kind === "karpenter") {
    pools.push({
      ...ownPool(settings, "sandbox", disruption),
      ...made(sandbox.pool),
      limits: sandbox.pool.limits ?? sandboxLimits(sandboxes),
    });
  }
  return pools;
}

type Karpenter = Extract<Basis["host"]["gpu_nodes"]["pool"], { kind: "karpenter" }>;

function made(pool: Karpenter): Pick<NodePool, "nodeClass" | "requirements"> {
  return {
    nodeClass: pool.node_class,
    requirements: [
      ...pool.requirements,
      { key: "karpenter.sh/capacity-type", operator: "In", values: pool.capacity_types },
    ],
  };
}

function ownPool(
  settings: Basis,
  purpose: NodePool["purpose"],
  disruption: Disruption,
): Pick<NodePool, "purpose" | "name" | "label" | "taint" | "disruption"> {
  const name = nodePoolOf(settings.stack, purpose);
  return {
    purpose,
    name,
    label: { [poolLabel]: name },
    taint: { key: poolLabel, value: name, effect: "NoSchedule" },
    disruption: disruption.pool,
  };
}

function sandboxLimits({ quota }: Quota): NodePool["limits"] {
  const GiB = bytesOf("1Gi");
  return {
    cpu: Math.ceil(quota.cpus * sandboxHeadroom),
    memory: `${Math.ceil((quota.memoryRequestBytes * sandboxHeadroom) / GiB)}Gi`,
  };
}
