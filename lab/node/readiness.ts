/** Waits for the node. */
import type { Api } from "../control-plane/api.ts";
import { pause } from "../interrupt.ts";
import { LabError } from "../problem.ts";
import { pretended } from "./layout.ts";
import { nodePath, system } from "./objects.ts";

interface Conditions {
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly lastHeartbeatTime?: string;
  }[];
}

interface Served {
  readonly spec?: { readonly taints?: readonly unknown[] };
  readonly status?: Conditions & { readonly capacity?: Readonly<Record<string, string>> };
}

/** Waits until kubelet has made its node. */
export async function waitForRegistration(api: Api, ended: () => Promise<void>): Promise<void> {
  await waitUntil("kubelet has not registered it", ended, async () => {
    return (await api.get(nodePath)) !== undefined;
  });
}

/**
 * Waits until the node takes pods and resolves names.
 * @param since When kubelet started: the API server keeps what an earlier one said.
 */
export async function waitForNode(
  api: Api,
  since: Date,
  ended: () => Promise<void>,
): Promise<void> {
  await waitUntil("the node is not ready", ended, async () => {
    const node = await api.get<Served>(nodePath);
    if (node && node.status?.capacity?.["nvidia.com/gpu"] === undefined) await addGpus(api);
    const heartbeat = node?.status?.conditions?.find(({ type }) => type === "Ready");
    // Whole seconds on one side, ticks since the start of the machine on the other.
    const isFresh = Date.parse(heartbeat?.lastHeartbeatTime ?? "") > since.getTime() - 2000;
    return isFresh && holds(node, "Ready") && (node?.spec?.taints ?? []).length === 0;
  });
  await waitUntil("CoreDNS does not run on it", ended, async () => {
    const path = `/apis/apps/v1/namespaces/${system}/deployments/coredns`;
    return holds(await api.get<Served>(path), "Available");
  });
}

/** No device plugin counts them; the scheduler goes by the node's status, which kubelet keeps. */
async function addGpus(api: Api): Promise<void> {
  const gpus = { "nvidia.com/gpu": String(pretended.gpus) };
  await api.patch(`${nodePath}/status`, { status: { capacity: gpus, allocatable: gpus } });
}

function holds(object: Served | undefined, condition: string): boolean {
  const conditions = object?.status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === condition && status === "True");
}

const patienceSeconds = 120;

/** @param ended Throws if a part of the node has ended. */
async function waitUntil(
  problem: string,
  ended: () => Promise<void>,
  question: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + patienceSeconds * 1000;
  while (!(await question())) {
    await ended();
    if (Date.now() > deadline) {
      throw new LabError(
        `Real node: ${problem} after ${patienceSeconds} s. Look at the logs, node-*.log in the lab's folder of logs, and at kubectl get pods --all-namespaces.`,
      );
    }
    await pause(200);
  }
}
