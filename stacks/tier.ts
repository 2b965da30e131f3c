/**
 * Every tier reads the same from here; what differs is in the Plan.
 *
 *   single-node   one Ray worker with 8 GPUs, which trainer and rollout servers use in turn
 *   two-node      a worker that trains and one that serves rollouts, at the same time
 *   three-node    two workers that train, one that serves rollouts
 *
 * Agents in the sandboxes reach the policy through LiteLLM, or through the agent loops on the workers themselves.
 */
import * as pulumi from "@pulumi/pulumi";
import type { Plan } from "../plan/plan.ts";
import type { Cluster } from "./cluster.ts";
import { layFoundation, type UserSecrets } from "./foundation.ts";
import { closeSandboxes } from "./isolation.ts";
import { openEndpoint, servePolicy } from "./proxy.ts";
import { startTraining } from "./training.ts";

/** What a provisioned tier can tell about itself. */
export interface Provisioned {
  readonly proxyUrl: pulumi.Output<string>;
  /** The verdict about the sandboxes' isolation, or why there is none. */
  readonly isolation: pulumi.Output<string>;
}

export function provisionTier(plan: Plan, cluster: Cluster, user: UserSecrets): Provisioned {
  const foundation = layFoundation(plan, cluster, user);
  const { proxy, ray } = plan;
  if (proxy.mode === "in_process") {
    const { before, isolation } = closeSandboxes(plan, cluster, { foundation });
    startTraining(plan, { foundation, before });
    const { from, to } = ray.ports.ephemeral;
    const url = `http://<pod of a Ray worker>:<${from}-${to}>/sess/<trial>`;
    return { proxyUrl: pulumi.output(url), isolation };
  }
  const endpoint = openEndpoint(plan, proxy, foundation);
  const proxyUrl = endpoint.url;
  const { before, isolation } = closeSandboxes(plan, cluster, { foundation, proxyUrl });
  const training = startTraining(plan, { foundation, before, proxyUrl });
  servePolicy(plan, proxy, { foundation, endpoint, training });
  return { proxyUrl, isolation };
}
