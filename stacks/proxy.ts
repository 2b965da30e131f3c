/** LiteLLM in front of a tier's rollout servers: first its address, which the trainer needs, last itself. */
import { LiteLlmProxy } from "../components/inference/litellm-proxy.ts";
import { ProxyEndpoint } from "../components/inference/proxy-endpoint.ts";
import type { Plan } from "../config/plan/plan.ts";
import type { Proxy } from "../config/plan/proxy.ts";
import type { Foundation } from "./foundation.ts";
import type { Training } from "./training.ts";

export function openEndpoint(plan: Plan, proxy: Proxy, foundation: Foundation): ProxyEndpoint {
  const { provider, proxy: compartment } = demandProxy(foundation);
  return new ProxyEndpoint(
    "proxy-endpoint",
    {
      labels: plan.labels,
      service: plan.names.proxy,
      port: proxy.port,
      namespace: compartment.namespace,
    },
    { provider, dependsOn: [compartment], deletedWith: compartment.resource },
  );
}

export function servePolicy(
  plan: Plan,
  proxy: Proxy,
  parts: { foundation: Foundation; endpoint: ProxyEndpoint; training: Training },
): void {
  const { foundation, endpoint, training } = parts;
  const { provider, proxy: compartment, secrets } = demandProxy(foundation);
  new LiteLlmProxy(
    "litellm",
    {
      labels: plan.labels,
      names: plan.names,
      proxy,
      trainer: plan.trainer,
      nodes: plan.ray.head,
      namespace: compartment.namespace,
      jobsUrl: training.jobsUrl,
      secrets,
      pullSecret: foundation.secrets.pull.proxy,
      rolloutMinutes: plan.rolloutMinutes,
    },
    // Rollout servers exist only when the trainer has started them.
    { provider, dependsOn: [compartment, endpoint, training.job] },
  );
}

function demandProxy({ provider, proxy, secrets }: Foundation) {
  if (!proxy || !secrets.proxy) throw new Error("the Plan has LiteLLM but no namespace for it");
  return { provider, proxy, secrets: secrets.proxy };
}
