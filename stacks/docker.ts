/**
 * A stack on one machine with Docker: the same run as on a cluster, in containers.
 *
 *   training network   Ray head, Ray worker with all GPUs, trainer, recorder, LiteLLM
 *   sandbox network    sandboxes and LiteLLM; no way out, and no address of the host
 */
import { type ResolveImage, withImage } from "../components/images/reference.ts";
import { Credentials } from "../components/docker/credentials.ts";
import { EgressProof } from "../components/docker/egress-proof.ts";
import { Networks } from "../components/docker/networks.ts";
import { PolicyCheck } from "../components/docker/policy-check.ts";
import { ProofListener } from "../components/docker/proof-listener.ts";
import { ProxyContainer } from "../components/docker/proxy-container.ts";
import { RayContainers } from "../components/docker/ray-containers.ts";
import { RecorderContainer } from "../components/docker/recorder-container.ts";
import { SandboxFirewall } from "../components/docker/sandbox-firewall.ts";
import { SandboxKeepers } from "../components/docker/sandbox-keepers.ts";
import { TrainerContainer } from "../components/docker/trainer-container.ts";
import { Volumes } from "../components/docker/volumes.ts";
import type { DockerHost } from "../plan/docker/index.ts";
import { peerPort } from "../plan/network/index.ts";
import type { Plan } from "../plan/plan.ts";
import type { Certificates } from "../preflight/docker/engine.ts";
import type { PreflightResult } from "../preflight/preflight.ts";
import { buildImages } from "./images.ts";
import { preflightOutput } from "./outputs.ts";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

export function onDocker({
  plan,
  checked,
  user,
}: {
  plan: Plan;
  checked: PreflightResult;
  user: DaemonSecrets & RunSecrets;
}) {
  const { dockerHost: host, ray, storage } = plan;
  if (!host) throw new Error("the Plan has no Docker host");
  const provider = connect(host, user);
  const { wandbApiKey, pushCredentials } = user;
  const secrets = { wandbApiKey, pushCredentials };
  const provisioned = provisionHost(plan, host, { provider, ...secrets, checked });
  const retained = new Set(
    storage.volumes.filter(({ removal }) => removal === "retain").map(({ name }) => name),
  );
  const docker = `docker --host ${host.host}`;
  return {
    ...plan.outputs,
    namespaces: {
      train: host.networks.train.name,
      sandbox: host.networks.sandbox.name,
    },
    proxy_url: provisioned.proxyUrl,
    ray_dashboard: `http://127.0.0.1:${ray.ports.dashboard} on the host`,
    follow: `${docker} logs --follow ${host.containers.trainer}`,
    preflight: preflightOutput(checked),
    isolation: provisioned.isolation,
    kept_on_destroy: host.mounts.flatMap((mount) =>
      "volume" in mount && mount.own && retained.has(mount.name) ? [`volume ${mount.volume}`] : [],
    ),
  };
}

/** Secrets that the stack uses once it reaches the daemon. */
interface RunSecrets {
  readonly wandbApiKey?: pulumi.Output<string> | undefined;
  /** Docker's own config.json, with which built images are pushed. */
  readonly pushCredentials?: pulumi.Output<string> | undefined;
}

export function provisionHost(
  plan: Plan,
  host: DockerHost,
  parts: RunSecrets & { provider: docker.Provider; checked: PreflightResult },
): { readonly proxyUrl: pulumi.Output<string>; readonly isolation: pulumi.Output<string> } {
  const { labels, names, proxy, rolloutMinutes, sandboxes, storage, trainer } = plan;
  if (proxy.mode !== "litellm") throw new Error("the Plan has no LiteLLM");
  const { provider, wandbApiKey, pushCredentials, checked } = parts;
  const url = `http://${host.addresses.proxy}:${proxy.port}`;
  const image = buildImages(plan, { pushCredentials, provider: () => provider });
  const builtTrainer = withImage(trainer, image);

  const daemon = { host: host.host, identity: checked.identity };
  const networks = new Networks(
    "networks",
    { networks: host.networks, labels, daemon },
    { provider },
  );
  const volumes = new Volumes(
    "volumes",
    { mounts: host.mounts, volumes: storage.volumes, labels },
    { provider },
  );
  const credentials = new Credentials("credentials");
  const { rayToken, masterKey, sandboxKey } = credentials;
  const keepers = new SandboxKeepers(
    "sandboxes",
    {
      host,
      image: builtTrainer.image,
      runtimeImage: image(host.agentRuntime.image),
      stack: names.stack,
      labels,
    },
    { provider },
  );
  const closed = closeSandboxes(plan, host, { provider, networks, checked, image });
  const ray = new RayContainers(
    "ray",
    {
      names,
      host,
      ray: withImage(plan.ray, image),
      labels,
      network: networks.train,
      mounts: Object.values(volumes.mounts),
      environment: trainer.environment,
      image,
      proxyUrl: url,
      rayToken,
      secrets: { sandboxKey, wandbApiKey },
      sandboxes: {
        // A daemon does not tell trials of validation from others.
        deadlineSeconds: sandboxes.longestDeadlineSeconds,
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
      trainer: builtTrainer,
      directories: storage.directories,
      labels,
      network: networks.train,
      jobsUrl: ray.jobsUrl,
      rayToken,
      headTimeoutSeconds: rolloutMinutes * 60,
    },
    { provider, dependsOn: [ray] },
  );
  const records = {
    host,
    trainer: builtTrainer,
    trials: storage.directories.trials,
    mounts: volumes.mounts["trials"] ? [volumes.mounts["trials"]] : [],
    labels,
    network: networks.train,
    jobsUrl: ray.jobsUrl,
    rayToken,
    rolloutMinutes,
  };
  // Rollout servers exist only when the trainer has started them. A run that fails before ends the update here, and not
  // where the recorder's health is awaited.
  const rollouts = new PolicyCheck(
    "rollout-check",
    {
      ...records,
      container: host.containers.rolloutCheck,
      check: plan.policyCheck,
      attempt: checked.attempts.rolloutCheck,
    },
    { provider, dependsOn: [job] },
  );
  const recorder = new RecorderContainer(
    "recorder",
    { ...records, names, recorder: proxy.recorder, rolloutServers: proxy.rolloutServers },
    { provider, dependsOn: [job, rollouts.passed] },
  );
  const litellm = new ProxyContainer(
    "litellm",
    { host, proxy, labels, networks, masterKey, sandboxKey },
    { provider, dependsOn: [recorder] },
  );
  const { passed } = new PolicyCheck(
    "policy-check",
    {
      ...records,
      container: host.containers.policyCheck,
      check: plan.policyCheck,
      way: { proxy, sandboxKey },
      attempt: checked.attempts.policyCheck,
    },
    { provider, dependsOn: [litellm] },
  );
  return { proxyUrl: passed.apply(() => url), isolation: closed.isolation };
}

export interface Closed {
  /** What must be there before training. */
  readonly before: readonly pulumi.Input<pulumi.Resource>[];
  /** The verdict, or why no proof ran. */
  readonly isolation: pulumi.Output<string>;
}

export function closeSandboxes(
  { isolation: planned, labels, trainer }: Plan,
  host: DockerHost,
  parts: {
    provider: docker.Provider;
    networks: Networks;
    checked: PreflightResult;
    image: ResolveImage;
  },
): Closed {
  const { provider, networks, checked, image } = parts;
  const isolation = withImage(planned, image);
  const { addresses, containers } = host;
  const { allowedPort, allowedTarget, decoy } = isolation;
  const firewall = new SandboxFirewall(
    "sandbox-firewall",
    { host, image: image(trainer.image), allowedPort, labels },
    { provider, dependsOn: [networks] },
  );
  if (checked.unproven !== undefined) {
    return { before: [firewall], isolation: pulumi.output(checked.unproven) };
  }
  const listen = (name: string, args: ListenerPlace) =>
    new ProofListener(name, { image: isolation.image, labels, ...args }, { provider });
  const listeners = [
    listen("proof-door", {
      container: containers.proofAllowedTarget,
      tcp: allowedTarget.tcp,
      udp: allowedTarget.udp,
      network: networks.sandbox,
      address: addresses.allowedTarget,
    }),
    listen("proof-ray", {
      container: containers.proofRay,
      tcp: decoy.tcp,
      udp: decoy.udp,
      network: networks.train,
      address: addresses.ray,
    }),
    listen("proof-peer", {
      container: containers.proofPeer,
      tcp: [peerPort],
      udp: [peerPort],
      network: networks.sandbox,
      address: addresses.peer,
    }),
  ];
  const proof = new EgressProof(
    "egress-proof",
    {
      host,
      isolation,
      network: networks.sandbox,
      proves: pulumi
        .all([networks.sandboxId, firewall.container.id, ...listeners.map(({ id }) => id)])
        .apply((ids) => [isolation.fingerprint, checked.network, ...ids].join(" ")),
      attempt: checked.attempts.proof,
      labels,
    },
    { provider, dependsOn: [firewall, ...listeners] },
  );
  return {
    // Not the container itself, which is there whatever it found.
    before: [firewall, proof.passed],
    isolation: pulumi.interpolate`${proof.verdict}; the whole verdict: docker --host ${host.host} logs ${containers.proof}`,
  };
}

type ListenerPlace = Omit<ConstructorParameters<typeof ProofListener>[1], "image" | "labels">;

/** Secrets of the stack with which Pulumi reaches the daemon. */
export interface DaemonSecrets {
  readonly dockerCa?: pulumi.Output<string> | undefined;
  readonly dockerCert?: pulumi.Output<string> | undefined;
  readonly dockerKey?: pulumi.Output<string> | undefined;
  /** Docker's own config.json, with which the daemon pulls images that are not there. */
  readonly registryCredentials?: pulumi.Output<string> | undefined;
}

/** The one daemon of a stack; named, so that no command hits whatever $DOCKER_HOST says. */
export function connect(
  { host }: DockerHost,
  { dockerCa, dockerCert, dockerKey, registryCredentials }: DaemonSecrets,
): docker.Provider {
  return new docker.Provider("docker", {
    host,
    ...(dockerCa && dockerCert && dockerKey
      ? { caMaterial: dockerCa, certMaterial: dockerCert, keyMaterial: dockerKey }
      : {}),
    ...(registryCredentials ? { registryAuth: registryCredentials.apply(authorizations) } : {}),
  });
}

/** One for each registry in a config.json. */
function authorizations(configFileContent: string): docker.types.input.ProviderRegistryAuth[] {
  const { auths } = parse(configFileContent);
  if (typeof auths !== "object" || auths === null) {
    throw new pulumi.RunError(
      "the stack secret registryCredentials is no config.json of Docker: it has no object auths. Store one: pulumi config set --secret swe-rl:registryCredentials < ~/.docker/config.json",
    );
  }
  return Object.keys(auths).map((address) => ({ address, configFileContent }));
}

function parse(text: string): { auths?: unknown } {
  try {
    return JSON.parse(text) as { auths?: unknown };
  } catch {
    return {};
  }
}

/** The certificates for preflight, which asks the daemon itself. */
export async function certificates({
  dockerCa,
  dockerCert,
  dockerKey,
}: DaemonSecrets): Promise<Certificates | undefined> {
  if (!dockerCa || !dockerCert || !dockerKey) return undefined;
  const [ca, cert, key] = await Promise.all([dockerCa, dockerCert, dockerKey].map(valueOf));
  return ca && cert && key ? { ca, cert, key } : undefined;
}

function valueOf(secret: pulumi.Output<string>): Promise<string> {
  return new Promise((resolve) => {
    secret.apply(resolve);
  });
}
