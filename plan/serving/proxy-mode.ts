import type { RayPorts } from "../ray/index.ts";
import type { Topology } from "../run/index.ts";

/** Proxy mode `in_process`: every agent-loop worker serves a URL for each of its trials. Nothing of it is an object on the cluster. */
export interface InProcessProxy {
  readonly mode: "in_process";
  /** Ports that the workers take, in the pods of Ray's worker groups; they advertise their pod's address. */
  readonly ports: RayPorts["ephemeral"];
}

export function planInProcessProxy({ ephemeral }: RayPorts): InProcessProxy {
  return { mode: "in_process", ports: ephemeral };
}

/** What a proxy mode costs on a tier. */
export function costOfProxyMode(
  mode: "litellm" | "in_process",
  topology: Topology,
  ports: RayPorts,
): string {
  if (mode === "in_process") {
    const { from, to } = ports.ephemeral;
    return `sandboxes may open every port from ${from} to ${to} of the GPU pods, and some of them are rollout servers, which ask for no key; in return weight syncs and retries stay invisible to the agent`;
  }
  if (topology.mode === "sync") {
    return "every call takes two more hops, LiteLLM and the recorder; in return sandboxes may open one port and need a key";
  }
  return "a weight sync that cuts a generation reaches the agent as a failed call, which it repeats from the start (partial_rollout does not help there); in return sandboxes may open one port and need a key";
}
