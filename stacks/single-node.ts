import type * as pulumi from "@pulumi/pulumi";
import { GpuNodeClaim } from "../components/compute/gpu-node-claim.ts";
import { LiteLlmProxy } from "../components/inference/litellm-proxy.ts";
import { Recorder } from "../components/inference/recorder.ts";
import { ProxyEndpoint } from "../components/inference/proxy-endpoint.ts";
import { Compartment } from "../components/isolation/compartment.ts";
import { containerEnvironment } from "../components/ray/pod-template.ts";
import { RayCluster } from "../components/ray/ray-cluster.ts";
import { SandboxBounds } from "../components/sandbox/sandbox-bounds.ts";
import { StackSecrets } from "../components/secrets/stack-secrets.ts";
import { RunVolume } from "../components/storage/run-volume.ts";
import { TrainerAccount } from "../components/training/trainer-account.ts";
import { TrainerJob } from "../components/training/trainer-job.ts";
import type { Plan } from "../config/plan/plan.ts";
import type { Cluster } from "./cluster.ts";

/** Secrets that the user stored in the stack. */
export interface UserSecrets {
  readonly wandbApiKey?: pulumi.Output<string> | undefined;
  readonly registryCredentials?: pulumi.Output<string> | undefined;
}

/** What a provisioned tier can tell about itself. */
export interface Provisioned {
  readonly proxyUrl: pulumi.Output<string>;
}

/**
 * One node with 8 GPUs, synchronous: its Ray worker holds the trainer and, in turn with it, verl's rollout servers.
 * Agents in the sandboxes reach them through LiteLLM and the recorder.
 */
export function singleNode(plan: Plan, cluster: Cluster, user: UserSecrets): Provisioned {
  const { labels, names, rolloutMinutes, storage, trainer } = plan;
  const { provider, adopting: adoptWith } = cluster;

  const compartment = (name: "train" | "proxy" | "sandbox") =>
    new Compartment(
      name,
      {
        labels,
        plan: plan.compartments[name],
        namespaces: names.namespaces,
        flows: plan.flows,
        adoptWith,
      },
      { provider },
    );
  const train = compartment("train");
  const proxy = compartment("proxy");
  const sandbox = compartment("sandbox");
  const inTrain = { provider, dependsOn: [train] };
  const inProxy = { provider, dependsOn: [proxy], deletedWith: proxy.resource };
  const inSandbox = { provider, dependsOn: [sandbox], deletedWith: sandbox.resource };

  const secrets = new StackSecrets(
    "secrets",
    {
      labels,
      namespaces: {
        train: train.namespace,
        proxy: proxy.namespace,
        sandbox: sandbox.namespace,
      },
      ...user,
    },
    { provider },
  );
  const volumes = storage.volumes.map((volume) => {
    const { claimName } = new RunVolume(
      volume.name,
      { labels, volume, stack: names.stack, namespace: train.namespace, adoptWith },
      inTrain,
    );
    return { ...volume, claimName };
  });
  const bounds = new SandboxBounds(
    "sandbox-bounds",
    {
      labels,
      sandboxes: plan.sandboxes,
      namespace: sandbox.namespace,
      pullSecret: secrets.pull.sandbox,
      adoptWith,
    },
    inSandbox,
  );
  const account = new TrainerAccount(
    "trainer-account",
    {
      labels,
      account: names.trainerServiceAccount,
      namespace: train.namespace,
      sandboxNamespace: sandbox.namespace,
      pullSecret: secrets.pull.train,
    },
    inTrain,
  );
  const endpoint = new ProxyEndpoint(
    "proxy-endpoint",
    { labels, service: names.proxy, port: plan.proxy.port, namespace: proxy.namespace },
    inProxy,
  );
  const gpuNodes = plan.nodeClaim
    ? [new GpuNodeClaim("gpu-nodes", { claim: plan.nodeClaim }, { provider })]
    : [];

  const ray = new RayCluster(
    "ray",
    {
      labels,
      names,
      ray: plan.ray,
      namespace: train.namespace,
      serviceAccount: account.serviceAccount,
      environment: containerEnvironment(trainer.environment, {
        secrets: secrets.training,
        deferred: { proxyUrl: endpoint.url },
      }),
      mounts: volumes,
      authenticationSecret: secrets.rayAuthentication,
      startupMinutes: rolloutMinutes,
    },
    // No training before the sandboxes' namespace is closed and bounded.
    { provider, dependsOn: [train, sandbox, bounds, account, ...gpuNodes] },
  );
  const job = new TrainerJob(
    "trainer",
    {
      labels,
      names,
      trainer,
      directories: storage.directories,
      nodes: plan.ray.head,
      namespace: train.namespace,
      serviceAccount: account.serviceAccount,
      jobsUrl: ray.jobsUrl,
      rayToken: secrets.rayToken,
      headTimeoutSeconds: rolloutMinutes * 60,
    },
    { provider, dependsOn: [ray] },
  );
  const recorder = new Recorder(
    "recorder",
    {
      labels,
      names,
      recorder: plan.proxy.recorder,
      rolloutServers: plan.proxy.rolloutServers,
      trainer,
      trials: storage.directories.trials,
      mounts: volumes.filter(({ name }) => name === "trials"),
      nodes: plan.ray.head,
      namespace: train.namespace,
      jobsUrl: ray.jobsUrl,
      rayToken: secrets.rayToken,
      pullSecret: secrets.pull.train,
      rolloutMinutes,
    },
    // Rollout servers exist only when the trainer has started them.
    { provider, dependsOn: [train, job] },
  );
  new LiteLlmProxy(
    "litellm",
    {
      labels,
      names,
      proxy: plan.proxy,
      nodes: plan.ray.head,
      namespace: proxy.namespace,
      masterKey: secrets.masterKey,
      sandboxKey: secrets.sandboxKeyOfProxy,
      pullSecret: secrets.pull.proxy,
      rolloutMinutes,
    },
    { provider, dependsOn: [proxy, endpoint, recorder] },
  );
  return { proxyUrl: endpoint.url };
}
