import type { V1Node } from "@kubernetes/client-node";
import { compartments, type Names } from "../../config/plan/names.ts";
import type { Plan } from "../../config/plan/plan.ts";
import type { Fact } from "../finding.ts";
import { type Access, type Client, connect, read, readIfThere } from "./client.ts";
import { type GpuPodFact, readGpuPods } from "./gpu-pods.ts";
import { nothingKnown } from "./nothing.ts";

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
  /** Whether KWOK only pretends that the node is there: no program runs on it, no packet flows. */
  readonly simulated: boolean;
}

export interface NamespaceFact {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly terminating: boolean;
}

/** What preflight knows of a cluster. */
export interface Facts {
  readonly server: Fact<string>;
  /** Versions of the RayCluster kind that are served; none without KubeRay. */
  readonly rayClusterVersions: Fact<readonly string[]>;
  /** Versions of Karpenter's NodePool kind that are served; none without Karpenter. */
  readonly nodePoolVersions: Fact<readonly string[]>;
  readonly nodes: Fact<readonly NodeFact[]>;
  /** Pods that have GPUs or wait for some, this stack's own among them. */
  readonly gpuPods: Fact<readonly GpuPodFact[]>;
  /** Those of the stack's namespaces that are there already. */
  readonly namespaces: Fact<readonly NamespaceFact[]>;
  readonly storageClasses: Fact<readonly string[]>;
}

/** Reads everything at once, each read with its own time limit; only the pods of nodes come after the nodes. */
export async function readFacts(access: Access, plan: Plan): Promise<Facts> {
  let client: Client;
  try {
    client = connect(access);
  } catch (error) {
    return nothingKnown(error instanceof Error ? error.message : String(error));
  }
  const nodes = read(async () => (await client.core.listNode()).items.map(describeNode));
  const gpuPods = nodes.then((known) => readGpuPods(client, known, plan));
  const [server, rayClusterVersions, nodePoolVersions, namespaces, storageClasses] =
    await Promise.all([
      read(async () => (await client.version.getCode()).gitVersion),
      readVersions(client, "rayclusters.ray.io"),
      readVersions(client, "nodepools.karpenter.sh"),
      readNamespaces(client, plan.names),
      read(async () =>
        (await client.storage.listStorageClass()).items.map(({ metadata }) => metadata?.name ?? ""),
      ),
    ]);
  return {
    server,
    rayClusterVersions,
    nodePoolVersions,
    nodes: await nodes,
    gpuPods: await gpuPods,
    namespaces,
    storageClasses,
  };
}

/** The served versions of a custom resource; none where it is not defined. */
async function readVersions(
  { extensions }: Client,
  name: string,
): Promise<Fact<readonly string[]>> {
  const definition = await readIfThere(() => extensions.readCustomResourceDefinition({ name }));
  if (!definition.known) return definition;
  const versions = definition.value?.spec.versions ?? [];
  return { known: true, value: versions.filter(({ served }) => served).map(({ name }) => name) };
}

async function readNamespaces(
  { core }: Client,
  names: Names,
): Promise<Fact<readonly NamespaceFact[]>> {
  const facts = await Promise.all(
    compartments.map((name) =>
      readIfThere(() => core.readNamespace({ name: names.namespaces[name] })),
    ),
  );
  const there: NamespaceFact[] = [];
  for (const fact of facts) {
    if (!fact.known) return fact;
    if (fact.value === undefined) continue;
    const { metadata, status } = fact.value;
    there.push({
      name: metadata?.name ?? "",
      labels: metadata?.labels ?? {},
      terminating: status?.phase === "Terminating",
    });
  }
  return { known: true, value: there };
}

function describeNode({ metadata, spec, status }: V1Node): NodeFact {
  return {
    name: metadata?.name ?? "",
    labels: metadata?.labels ?? {},
    ready: (status?.conditions ?? []).some(
      (condition) => condition.type === "Ready" && condition.status === "True",
    ),
    schedulable: spec?.unschedulable !== true,
    taints: spec?.taints ?? [],
    allocatable: status?.allocatable ?? {},
    simulated: metadata?.annotations?.["kwok.x-k8s.io/node"] !== undefined,
  };
}
