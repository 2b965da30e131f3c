import type {
  V1Container,
  V1ObjectMeta,
  V1Pod,
  V1PodSpec,
  V1PodStatus,
  V1Toleration,
} from "@kubernetes/client-node";
import type { Plan } from "../../plan/plan.ts";
import type { Fact } from "./fact.ts";
import { isOfStack } from "./placement.ts";
import { amountOf } from "./quantity.ts";
import { type Client, read } from "./client.ts";
import type { NodeFact } from "./nodes.ts";

/** What a pod asks of its node. */
export interface Requests {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly ephemeralBytes: number;
  readonly gpus: number;
}

/** A pod that has part of a node, or waits for one. */
export interface PodFact {
  /** Node that it is bound to; undefined while it waits. */
  readonly node: string | undefined;
  /** Stack that it belongs to; undefined for what is not of this project. */
  readonly stack: string | undefined;
  readonly namespace: string;
  readonly requests: Requests;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly V1Toleration[];
  /** Addresses of its own; none of a pod in its node's network. */
  readonly addresses: readonly string[];
  /** Container that sees GPUs without having asked for any; undefined: none, or of a DaemonSet, as drivers' pods are. */
  readonly seesGpus: string | undefined;
  /** Images that its node tried in vain to pull, with the reason that kubelet gives. */
  readonly failedPulls: readonly { readonly image: string; readonly reason: string }[];
}

const path = "/api/v1/pods";

/** What still holds or wants resources. */
const alive = "status.phase!=Succeeded,status.phase!=Failed";

/** Up to so many nodes are asked one by one where there are many pods: API servers answer that from an index. */
const mostAskedByNode = 64;

/** Pods of a cluster that is listed as a whole. */
const firstPage = 500;

/**
 * The pods on the nodes that the stack could use, and those that wait. A small cluster is read in one page, begun before
 * the nodes are known. Of a larger one, only the stack's nodes are asked, as long as they are few.
 */
export function readPods(
  client: Client,
  nodes: Promise<Fact<readonly NodeFact[]>>,
  plan: Plan,
): Promise<Fact<readonly PodFact[]>> {
  const { resource } = plan.gpuDemand;
  return read(async () => {
    const first = await client.get<{ items: V1Pod[]; metadata?: { continue?: string } }>(path, {
      query: { fieldSelector: alive, limit: String(firstPage) },
    });
    const next = first.metadata?.continue;
    if (!next) return first.items.map((pod) => describePod(pod, resource));
    const names = await namesOfOurNodes(nodes, plan);
    const pods =
      names && names.length <= mostAskedByNode
        ? await readByNode(client, names)
        : [
            ...first.items,
            ...(await client.list<V1Pod>(path, {
              query: { fieldSelector: alive, continue: next },
            })),
          ];
    return pods.map((pod) => describePod(pod, resource));
  });
}

/** undefined where the nodes could not be read. */
async function namesOfOurNodes(
  nodes: Promise<Fact<readonly NodeFact[]>>,
  plan: Plan,
): Promise<string[] | undefined> {
  const known = await nodes;
  if (!known.known) return undefined;
  return known.value.filter((node) => isOfStack(plan, node)).map(({ name }) => name);
}

async function readByNode(client: Client, names: readonly string[]): Promise<V1Pod[]> {
  const lists = await Promise.all(
    ["", ...names].map((name) =>
      client.list<V1Pod>(path, { query: { fieldSelector: `spec.nodeName=${name},${alive}` } }),
    ),
  );
  return lists.flat();
}

function describePod({ metadata, spec, status }: V1Pod, gpuResource: string): PodFact {
  return {
    node: spec?.nodeName,
    stack: metadata?.labels?.["swe-rl.dev/stack"],
    namespace: metadata?.namespace ?? "",
    requests: spec ? requestsOf(spec, gpuResource) : noRequests,
    nodeSelector: spec?.nodeSelector ?? {},
    tolerations: spec?.tolerations ?? [],
    addresses: spec?.hostNetwork ? [] : (status?.podIPs ?? []).map(({ ip }) => ip),
    seesGpus: spec && !isOfDaemonSet(metadata) ? seesGpus(spec, gpuResource) : undefined,
    failedPulls: failedPulls(spec, status),
  };
}

function isOfDaemonSet(metadata: V1ObjectMeta | undefined): boolean {
  return metadata?.ownerReferences?.some(({ kind }) => kind === "DaemonSet") ?? false;
}

/** NVIDIA's container runtime gives the GPUs that this variable names, whatever Kubernetes knows of it. */
function seesGpus({ containers }: V1PodSpec, gpuResource: string): string | undefined {
  return containers.find((container) => {
    const visible = container.env?.find(({ name }) => name === "NVIDIA_VISIBLE_DEVICES")?.value;
    return askedOf(container, gpuResource) === 0 && !["", "void", "none"].includes(visible ?? "");
  })?.name;
}

/** The status of a container that waits may lack its image; its specification has it. */
function failedPulls(spec: V1PodSpec | undefined, status: V1PodStatus | undefined) {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  return statuses.flatMap(({ name, state }) => {
    const reason = state?.waiting?.reason ?? "";
    const message = state?.waiting?.message ?? "";
    const image = containers.find((container) => container.name === name)?.image;
    if (image === undefined || !pullFailures.has(reason)) return [];
    return [{ image, reason: message === "" ? reason : `${reason}, ${message}` }];
  });
}

const pullFailures = new Set(["ErrImagePull", "ImagePullBackOff", "InvalidImageName"]);

const noRequests: Requests = { cpus: 0, memoryBytes: 0, ephemeralBytes: 0, gpus: 0 };

/** Where a container has only a limit, it asks for that. */
function askedOf({ resources }: V1Container, resource: string): number {
  return amountOf(resources?.requests?.[resource] ?? resources?.limits?.[resource]);
}

/** Containers run beside each other, init containers before them one by one. */
function requestsOf(spec: V1PodSpec, gpuResource: string): Requests {
  const { containers, initContainers = [], overhead } = spec;
  const of = (resource: string) => {
    const amount = (container: V1Container) => askedOf(container, resource);
    const beside = containers.reduce((sum, container) => sum + amount(container), 0);
    return Math.max(beside, ...initContainers.map(amount)) + amountOf(overhead?.[resource]);
  };
  return {
    cpus: of("cpu"),
    memoryBytes: of("memory"),
    ephemeralBytes: of("ephemeral-storage"),
    gpus: of(gpuResource),
  };
}
