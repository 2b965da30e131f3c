import { digest } from "../digest.ts";
import type { Basis } from "../host.ts";
import { type Requests, requestsOf } from "../requests.ts";
import type { Topology } from "../run/index.ts";
import type { InProcessProxy } from "./proxy-mode.ts";
import type { Proxy } from "./proxy.ts";

/** What must be seen to work before an update ends: every rollout server, and the agents' way to them. */
export interface PolicyCheck {
  /** Name under which the policy is served. */
  readonly model: string;
  /** Rollout servers that must give a completion. */
  readonly rolloutServers: number;
  /** Of the pod that asks them. */
  readonly requests: Requests;
  /** Changes with the agents' way, which is then checked again. */
  readonly fingerprint: string;
}

export function planPolicyCheck(
  { experiment }: Basis,
  { topology, proxy }: { topology: Topology; proxy: Proxy | InProcessProxy },
): PolicyCheck {
  // Not the number of replicas, which a Docker host has otherwise.
  const way = proxy.mode === "litellm" ? [proxy.image, proxy.litellm] : proxy.mode;
  return {
    model: experiment.model.served_model_name,
    rolloutServers: topology.rolloutServers,
    requests: requestsOf(100, { memory: 64, limit: 256 }),
    fingerprint: digest(JSON.stringify(way), 10),
  };
}
