/**
 * A single node on a Docker host: the same run as on a cluster, in containers.
 *
 *   training network   Ray head, Ray worker with all GPUs, trainer, recorder, LiteLLM
 *   sandbox network    sandboxes and LiteLLM; no way out, and no address of the host
 */
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { Credentials } from "../../components/docker/credentials.ts";
import { Networks } from "../../components/docker/networks.ts";
import { ProxyContainer } from "../../components/docker/proxy-container.ts";
import { RayContainers } from "../../components/docker/ray-containers.ts";
import { RecorderContainer } from "../../components/docker/recorder-container.ts";
import { SandboxKeepers } from "../../components/docker/sandbox-keepers.ts";
import { TrainerContainer } from "../../components/docker/trainer-container.ts";
import { Volumes } from "../../components/docker/volumes.ts";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Plan } from "../../plan/plan.ts";
import type { PreflightResult } from "../../preflight/preflight.ts";
import { closeSandboxes } from "./isolation.ts";

export function provisionHost(
  plan: Plan,
  host: DockerHost,
  parts: {
    provider: docker.Provider;
    wandbApiKey: pulumi.Output<string> | undefined;
    checked: PreflightResult;
  },
): { readonly proxyUrl: pulumi.Output<string>; readonly isolation: pulumi.Output<string> } {
  const { labels, names, proxy, rolloutMinutes, sandboxes, storage, trainer } = plan;
  if (proxy.mode !== "litellm") throw new Error("the Plan has no LiteLLM");
  const { provider, wandbApiKey, checked } = parts;
  const url = `http://${host.addresses.proxy}:${proxy.port}`;

  const networks = new Networks("networks", { networks: host.networks, labels }, { provider });
  const volumes = new Volumes(
    "volumes",
    { mounts: host.mounts, volumes: storage.volumes, labels },
    { provider },
  );
  const credentials = new Credentials("credentials");
  const { rayToken, masterKey, sandboxKey } = credentials;
  const keepers = new SandboxKeepers(
    "sandboxes",
    { host, image: trainer.image, stack: names.stack, labels },
    { provider },
  );
  const closed = closeSandboxes(plan, host, { provider, networks, checked });
  const ray = new RayContainers(
    "ray",
    {
      names,
      host,
      ray: plan.ray,
      labels,
      network: networks.train,
      mounts: Object.values(volumes.mounts),
      environment: trainer.environment,
      proxyUrl: url,
      rayToken,
      secrets: { sandboxKey, wandbApiKey },
      sandboxes: {
        deadlineSeconds: sandboxes.deadlineSeconds,
        memoryLimitBytes: sandboxes.perPod.memoryLimitBytes,
      },
      startupMinutes: rolloutMinutes,
    },
    // No training before the sandboxes' network is shown to be closed and their keepers are there.
    { provider, dependsOn: [networks, keepers, ...closed.before] },
  );
  const job = new TrainerContainer(
    "trainer",
    {
      names,
      host,
      trainer,
      directories: storage.directories,
      labels,
      network: networks.train,
      jobsUrl: ray.jobsUrl,
      rayToken,
      headTimeoutSeconds: rolloutMinutes * 60,
    },
    { provider, dependsOn: [ray] },
  );
  const recorder = new RecorderContainer(
    "recorder",
    {
      names,
      host,
      recorder: proxy.recorder,
      rolloutServers: proxy.rolloutServers,
      trainer,
      trials: storage.directories.trials,
      mounts: volumes.mounts["trials"] ? [volumes.mounts["trials"]] : [],
      labels,
      network: networks.train,
      jobsUrl: ray.jobsUrl,
      rayToken,
      rolloutMinutes,
    },
    // Rollout servers exist only when the trainer has started them.
    { provider, dependsOn: [job] },
  );
  new ProxyContainer(
    "litellm",
    { host, proxy, labels, networks, masterKey, sandboxKey },
    { provider, dependsOn: [recorder] },
  );
  return { proxyUrl: pulumi.output(url), isolation: closed.isolation };
}
