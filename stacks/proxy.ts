/** LiteLLM and the recorder in front of a tier's rollout servers: first LiteLLM's address, which the trainer needs. */
import { LiteLlmProxy } from "../components/inference/litellm-proxy.ts";
import { ProxyEndpoint } from "../components/inference/proxy-endpoint.ts";
import { Recorder } from "../components/inference/recorder.ts";
import type { Plan } from "../plan/plan.ts";
import type { Proxy } from "../plan/serving/index.ts";
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
  const { labels, names, rolloutMinutes } = plan;
  const recorder = new Recorder(
    "recorder",
    {
      labels,
      names,
      recorder: proxy.recorder,
      rolloutServers: proxy.rolloutServers,
      disruption: plan.disruption,
      trainer: plan.trainer,
      trials: plan.storage.directories.trials,
      mounts: foundation.mounts.filter(({ name }) => name === "trials"),
      nodes: plan.ray.head,
      namespace: foundation.train.namespace,
      jobsUrl: training.jobsUrl,
      rayToken: foundation.secrets.rayToken,
      pullSecret: foundation.secrets.pull.train,
      rolloutMinutes,
    },
    // Rollout servers exist only when the trainer has started them.
    { provider, dependsOn: [foundation.train, training.job] },
  );
  new LiteLlmProxy(
    "litellm",
    {
      labels,
      names,
      proxy,
      nodes: plan.ray.head,
      namespace: compartment.namespace,
      secrets,
      pullSecret: foundation.secrets.pull.proxy,
      rolloutMinutes,
    },
    { provider, dependsOn: [compartment, endpoint, recorder] },
  );
}

function demandProxy({ provider, proxy, secrets }: Foundation) {
  if (!proxy || !secrets.proxy) throw new Error("the Plan has LiteLLM but no namespace for it");
  return { provider, proxy, secrets: secrets.proxy };
}
