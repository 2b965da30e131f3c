import type { Basis } from "../host.ts";
import type { RayPorts } from "../ray/index.ts";
import type { Topology } from "../run/index.ts";

/** Proxy mode `in_process`: every agent-loop worker serves its own trials. Nothing of it is an object on the cluster. */
export interface InProcessProxy {
  readonly mode: "in_process";
  /** Ports that the workers take, in the pods of Ray's worker groups; they advertise their pod's address. */
  readonly ports: { readonly from: number; readonly to: number };
  /** Whether a key opens one trial, and the ports are the workers' alone: so with our own agent loop. */
  readonly isKeyed: boolean;
}

/** First port of the workers of our own loop: nothing that binds port 0 gets it, and Ray takes none near it. */
const firstPort = 8100;

/** The fork's workers bind port 0, so theirs are any of the pod's range. */
export function planInProcessProxy({ experiment }: Basis, { ephemeral }: RayPorts): InProcessProxy {
  if (experiment.verl.distribution === "fork") {
    return { mode: "in_process", ports: ephemeral, isKeyed: false };
  }
  // All of them may be on one node.
  const to = firstPort + experiment.harbor_runtime.num_workers - 1;
  return { mode: "in_process", ports: { from: firstPort, to }, isKeyed: true };
}

/** What a proxy mode costs on a tier. */
export function costOfProxyMode(
  proxy: { readonly mode: "litellm" } | InProcessProxy,
  topology: Topology,
): string {
  if (proxy.mode === "in_process") {
    const { from, to } = proxy.ports;
    const open = proxy.isKeyed
      ? `sandboxes may open the ports ${from} to ${to} of the GPU pods, each with the key of one trial`
      : `sandboxes may open every port from ${from} to ${to} of the GPU pods, and some of them are rollout servers, which ask for no key`;
    return `${open}; in return weight syncs and retries stay invisible to the agent`;
  }
  if (topology.mode === "sync") {
    return "every call takes two more hops, LiteLLM and the recorder; in return sandboxes may open one port and need a key";
  }
  return "a weight sync that cuts a generation reaches the agent as a failed call, which it repeats from the start (partial_rollout does not help there); in return sandboxes may open one port and need a key";
}
