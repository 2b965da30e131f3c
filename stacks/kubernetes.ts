/**
 * A stack on a cluster. Every tier reads the same from here; what differs is in the Plan.
 *
 *   single-node   one Ray worker with 8 GPUs, which trainer and rollout servers use in turn
 *   two-node      a worker that trains and one that serves rollouts, at the same time
 *   three-node    two workers that train, one that serves rollouts
 *
 * Agents in the sandboxes reach the policy through LiteLLM, or through the agent loops on the Ray workers.
 */
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { GpuNodeClaim } from "../components/compute/gpu-node-claim.ts";
import { KarpenterPool } from "../components/compute/karpenter-pool.ts";
import { TrainingPriority } from "../components/compute/training-priority.ts";
import { FrozenModel } from "../components/inference/frozen-model.ts";
import { LiteLlmProxy } from "../components/inference/litellm-proxy.ts";
import { PolicyCheck } from "../components/inference/policy-check.ts";
import { ProxyEndpoint } from "../components/inference/proxy-endpoint.ts";
import { Recorder } from "../components/inference/recorder.ts";
import { RunNamespace } from "../components/network/run-namespace.ts";
import { type ResolveImage, withImage } from "../components/images/reference.ts";
import { containerEnvironment } from "../components/ray/pod-template.ts";
import type { ProgramDeployment } from "../components/program-deployment.ts";
import { StartCheck } from "../components/start-check.ts";
import type { Workload } from "../components/workload.ts";
import { InputsCheck, inputsMinutes } from "../components/training/inputs-check.ts";
import { RayCluster } from "../components/ray/ray-cluster.ts";
import { EgressProof } from "../components/sandbox/egress-proof.ts";
import { entryGate, gateTargets } from "../components/sandbox/entry-gate.ts";
import { ImagePrepull } from "../components/sandbox/image-prepull.ts";
import { ProofListener } from "../components/sandbox/proof-listener.ts";
import { Reaper } from "../components/sandbox/reaper.ts";
import { SandboxAdmission } from "../components/sandbox/sandbox-admission.ts";
import { SandboxBounds } from "../components/sandbox/sandbox-bounds.ts";
import { SandboxTraffic } from "../components/sandbox/sandbox-traffic.ts";
import { StackSecrets } from "../components/secrets/stack-secrets.ts";
import { RunVolume } from "../components/storage/run-volume.ts";
import { TrainerAccount } from "../components/training/trainer-account.ts";
import { TrainerJob } from "../components/training/trainer-job.ts";
import type { KubernetesSite } from "../config/schema/site.ts";
import { buildImages, localBuilder } from "./images.ts";
import { exceptAccepted, type ListenerPlan, type NamespacePlan } from "../plan/network/index.ts";
import type { Attempts } from "../plan/attempts.ts";
import { runDirectory } from "../plan/names.ts";
import type { Plan } from "../plan/plan.ts";

/** Secrets that the user stored in the stack. */
export interface UserSecrets {
  readonly wandbApiKey?: pulumi.Output<string> | undefined;
  readonly registryCredentials?: pulumi.Output<string> | undefined;
  /** Docker's own config.json, with which built images are pushed. It goes into no Secret of the cluster. */
  readonly pushCredentials?: pulumi.Output<string> | undefined;
}

/** The one cluster of a stack. Both providers name its context, so that no command uses whatever is current. */
export interface Cluster {
  /** Provider of everything that a stack owns. */
  readonly provider: k8s.Provider;
  /** Provider of what may exist already: retained volumes and their namespace, and accounts that Kubernetes makes. */
  readonly adopting: k8s.Provider;
  /** Why no proof of the sandboxes' isolation runs; undefined: one does. */
  readonly unproven: string | undefined;
  /** Its identity; undefined where nobody could tell. */
  readonly identity: string | undefined;
  /** What carries and filters the pods' packets. */
  readonly network: string;
  /** Tells what runs once and is made anew from what has failed. */
  readonly attempts: Attempts;
  /** Whether no daemon answers that could build the stack's images; then there is a preview at most. */
  readonly builderAbsent: boolean;
}

/** What a provisioned stack can tell about itself. */
export interface Provisioned {
  readonly proxyUrl: pulumi.Output<string>;
  /** The verdict about the sandboxes' isolation, or why no proof ran. */
  readonly isolation: pulumi.Output<string>;
}

export function connect(
  { cluster }: KubernetesSite,
  known: Omit<Cluster, "provider" | "adopting">,
): Cluster {
  const access = {
    context: cluster.context,
    // Else the SDK writes $KUBECONFIG here, a path of one machine into the state, and the plugin leaves a copy of the file
    // with its keys in the temporary folder at every command. The plugin finds the same file by itself.
    kubeconfig: "",
    // The plugin would take another cluster under the same name for the same.
    ...(known.identity === undefined ? {} : { clusterIdentifier: known.identity }),
  };
  return {
    ...known,
    provider: new k8s.Provider("cluster", access),
    adopting: new k8s.Provider("cluster-adopting", { ...access, upsertExistingObjects: true }),
  };
}

export function provisionCluster(plan: Plan, cluster: Cluster, user: UserSecrets): Provisioned {
  const namespaces = makeNamespaces(plan, cluster);
  const { pushCredentials, ...inCluster } = user;
  const image = buildImages(plan, {
    pushCredentials,
    provider: () => localBuilder(cluster.builderAbsent),
  });
  const secrets = makeSecrets(cluster, namespaces, { plan, user: inCluster });
  const mounts = makeVolumes(plan, cluster, namespaces);
  const base: Base = { plan, cluster, ...namespaces, secrets, mounts, image };
  const { account, ready } = boundSandboxes(base);
  const endpoint = plan.proxy.mode === "litellm" ? openEndpoint(base) : undefined;
  const { before, isolation } = closeSandboxes(base, { ready, proxyUrl: endpoint?.url });
  const environment = containerEnvironment(plan.trainer.environment, {
    secrets: secrets.training,
    proxyUrl: endpoint?.url,
    image,
  });
  const inputs = checkInputs(base, { environment, before: [...ready, ...before] });
  const ray = startRay(base, { account, environment, before: [...ready, ...before, ...inputs] });
  const training = awaitTraining(base, ray, startTrainer(base, ray, account));
  const served = endpoint && servePolicy(base, { endpoint, ray, training });
  const services = [
    ...serveFrozenModels(base, training),
    reapSandboxes(base, ray, training),
    ...(served ?? []),
  ];
  checkPolicy(base, { endpoint, ray, services: awaitServices(base, services, training) });
  return { proxyUrl: endpoint?.url ?? pulumi.output(trialUrl(plan.proxy)), isolation };
}

interface Namespaces {
  readonly train: RunNamespace;
  /** undefined in proxy mode `in_process`. */
  readonly proxy: RunNamespace | undefined;
  readonly sandbox: RunNamespace;
}

/** What every further step stands on. */
interface Base extends Namespaces {
  readonly plan: Plan;
  readonly cluster: Cluster;
  readonly secrets: StackSecrets;
  readonly mounts: ReturnType<typeof makeVolumes>;
  /** What objects name for an image of the Plan. */
  readonly image: ResolveImage;
}

// Namespaces, with the network policies of everything in them.
function makeNamespaces({ labels, names, flows, namespaces }: Plan, cluster: Cluster): Namespaces {
  const make = (plan: NamespacePlan) =>
    new RunNamespace(
      plan.namespaceRole,
      { labels, names, plan, flows, adoptWith: cluster.adopting },
      { provider: cluster.provider },
    );
  const train = make(namespaces.train);
  const proxy = namespaces.proxy && make(namespaces.proxy);
  return { train, proxy, sandbox: make(namespaces.sandbox) };
}

function makeSecrets(
  { provider }: Cluster,
  { train, proxy, sandbox }: Namespaces,
  { plan, user }: { plan: Plan; user: Omit<UserSecrets, "pushCredentials"> },
): StackSecrets {
  const namespaces = {
    train: train.namespace,
    proxy: proxy?.namespace,
    sandbox: sandbox.namespace,
  };
  return new StackSecrets("secrets", { labels: plan.labels, namespaces, ...user }, { provider });
}

function makeVolumes(
  { labels, names, storage }: Plan,
  { provider, adopting: adoptWith }: Cluster,
  { train }: Namespaces,
) {
  return storage.volumes.map((volume) => {
    const { claimName } = new RunVolume(
      volume.name,
      {
        labels,
        volume,
        stack: names.stack,
        directory: runDirectory(names),
        namespace: train.namespace,
        adoptWith,
      },
      { provider, dependsOn: [train] },
    );
    return { ...volume, claimName };
  });
}

// Bounds, accounts, priorities and nodes: no training before they exist.
function boundSandboxes({ plan, cluster, train, sandbox, secrets, image }: Base): {
  readonly account: TrainerAccount;
  readonly ready: readonly pulumi.Resource[];
} {
  const { labels, names, prepull, nodeClaim, nodePools } = plan;
  const { provider, adopting: adoptWith } = cluster;
  const inTrain = { provider, dependsOn: [train] };
  const bounds = new SandboxBounds(
    "sandbox-bounds",
    {
      labels,
      names,
      sandboxes: plan.sandboxes,
      namespace: sandbox.namespace,
      pullSecret: secrets.pull.sandbox,
      adoptWith,
    },
    { provider, dependsOn: [sandbox], deletedWith: sandbox.resource },
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
  const priority = new TrainingPriority(
    "training-priority",
    { labels, object: names.priorityClass },
    { provider },
  );
  const traffic = new SandboxTraffic(
    "sandbox-traffic",
    {
      labels,
      object: names.sandboxAdmission,
      account: names.trainerServiceAccount,
      accountNamespace: train.namespace,
      namespace: sandbox.namespace,
    },
    { provider },
  );
  if (prepull) {
    const { namespace } = train;
    const pullSecret = secrets.pull.train;
    const named = { ...prepull, images: prepull.images.map(image) };
    new ImagePrepull(prepull.name, { labels, prepull: named, namespace, pullSecret }, inTrain);
  }
  const nodes = [
    ...(nodeClaim ? [new GpuNodeClaim("gpu-nodes", { claim: nodeClaim }, { provider })] : []),
    ...nodePools.map(
      (pool) => new KarpenterPool(`${pool.purpose}-pool`, { labels, pool }, { provider }),
    ),
  ];
  return { account, ready: [train, sandbox, bounds, account, priority, traffic, ...nodes] };
}

// LiteLLM's address, which the trainer's environment names before LiteLLM runs.
function openEndpoint(base: Base): ProxyEndpoint {
  const { plan, cluster } = base;
  const { namespace, proxy } = withProxy(base);
  return new ProxyEndpoint(
    "proxy-endpoint",
    {
      labels: plan.labels,
      service: plan.names.proxy,
      port: proxy.port,
      namespace: namespace.namespace,
    },
    { provider: cluster.provider, dependsOn: [namespace], deletedWith: namespace.resource },
  );
}

// The proof that sandboxes reach the proxy and nothing else: listeners, the gate of every sandbox, admission, the Job.
function closeSandboxes(
  base: Base,
  parts: { ready: readonly pulumi.Resource[]; proxyUrl: pulumi.Output<string> | undefined },
): { readonly before: readonly pulumi.Resource[]; readonly isolation: pulumi.Output<string> } {
  const { plan, cluster, sandbox } = base;
  const { labels, names, isolation } = plan;
  const { provider } = cluster;
  const allowedTarget = listen(base, names.allowedTarget, isolation.allowedTarget);
  const ray = listen(base, names.decoy, isolation.decoy);
  const targets = gateTargets(isolation, allowedTarget.addresses, parts.proxyUrl);
  const admission = new SandboxAdmission(
    "sandbox-admission",
    {
      labels,
      admission: plan.admission,
      sandboxes: plan.sandboxes,
      object: names.sandboxAdmission,
      namespace: sandbox.namespace,
      gate: targets.apply((all) => entryGate(isolation.gate, all)),
    },
    { provider },
  );
  if (cluster.unproven !== undefined) {
    return { before: [allowedTarget, admission], isolation: pulumi.output(cluster.unproven) };
  }
  const proof = new EgressProof(
    "egress-proof",
    {
      labels,
      object: names.egressProof,
      isolation,
      network: cluster.network,
      attempt: cluster.attempts.proof,
      namespace: sandbox.namespace,
      nodes: plan.sandboxes,
      // The proxy serves only after training has begun; a listener under the same policy is the target.
      gate: gateTargets(isolation, allowedTarget.addresses, undefined),
      allowedTarget: allowedTarget.addresses,
      ray: ray.addresses,
    },
    {
      provider,
      dependsOn: [...parts.ready, allowedTarget, ray, admission],
      deletedWith: sandbox.resource,
    },
  );
  return {
    before: [allowedTarget, admission, proof],
    isolation: pulumi.interpolate`proven at ${proof.provenAt}: a sandbox pod reached the proxy and none of ${isolation.targets.length} targets${exceptAccepted(isolation)}; the verdict: kubectl -n ${sandbox.namespace} logs job/${names.egressProof}`,
  };
}

function listen(base: Base, name: string, listener: ListenerPlan): ProofListener {
  const { plan, cluster, secrets, sandbox } = base;
  const namespace = base[listener.namespaceRole];
  if (!namespace) throw new Error(`the Plan has a listener in ${listener.namespaceRole}`);
  return new ProofListener(
    name,
    {
      labels: plan.labels,
      object: name,
      listener,
      requests: plan.isolation.listenerRequests,
      image: plan.isolation.image,
      namespace: namespace.namespace,
      sandboxNamespace: sandbox.namespace,
      nodes: plan.ray.head,
      pullSecret: secrets.pull[listener.namespaceRole],
    },
    { provider: cluster.provider, dependsOn: [namespace] },
  );
}

// What is wrong with image, model or indexes ends the update before Ray takes a GPU. Only our own image can tell.
function checkInputs(
  base: Base,
  parts: {
    environment: ReturnType<typeof containerEnvironment>;
    before: readonly pulumi.Resource[];
  },
): StartCheck[] {
  const { plan, cluster, train, secrets, mounts, image } = base;
  const { labels, names, ray, trainer } = plan;
  if (!trainer.check) return [];
  const check = new InputsCheck(
    names.inputsCheck,
    {
      labels,
      names,
      check: trainer.check,
      trainer: withImage(trainer, image),
      nodes: ray.head,
      namespace: train.namespace,
      environment: parts.environment,
      mounts,
      group: plan.storage.group,
      attempt: cluster.attempts.inputsCheck,
      pullSecret: secrets.pull.train,
    },
    { provider: cluster.provider, dependsOn: [...parts.before] },
  );
  const started = awaitStart(base, "inputsStart", {
    workloads: [check.workload],
    after: [check],
    minutes: inputsMinutes,
  });
  return [started];
}

// Pulumi waits only here for what becomes of what it has made: each check ends the update where one of its workloads
// cannot start.
function awaitStart(
  { plan, cluster, train, proxy, secrets, image }: Base,
  check: "inputsStart" | "trainingStart" | "servicesStart",
  parts: {
    workloads: readonly Workload[];
    after: readonly pulumi.Resource[];
    minutes: number;
    withProxy?: boolean;
  },
): StartCheck {
  const object = plan.names[check];
  return new StartCheck(
    object,
    {
      labels: plan.labels,
      object,
      check: withImage(plan.startCheck, image),
      workloads: parts.workloads,
      readsIn: {
        train: train.namespace,
        ...(parts.withProxy && proxy ? { proxy: proxy.namespace } : {}),
      },
      nodes: plan.ray.head,
      namespace: train.namespace,
      pullSecret: secrets.pull.train,
      attempt: cluster.attempts[check],
      minutes: parts.minutes,
    },
    { provider: cluster.provider, dependsOn: [train, ...parts.after] },
  );
}

function awaitTraining(base: Base, ray: RayCluster, trainer: TrainerJob): StartCheck {
  return awaitStart(base, "trainingStart", {
    workloads: [ray.workload, trainer.workload],
    after: [ray, trainer],
    minutes: base.plan.rolloutMinutes,
  });
}

function awaitServices(
  base: Base,
  services: readonly ProgramDeployment[],
  training: StartCheck,
): StartCheck {
  const { rolloutMinutes, serving } = base.plan;
  return awaitStart(base, "servicesStart", {
    workloads: services.map(({ workload }) => workload),
    after: [training, ...services],
    // Frozen models start all at once, but are replaced one after the other.
    minutes: Math.max(
      rolloutMinutes,
      ...serving.map((model) => model.rolloutMinutes * model.replicas),
    ),
    withProxy: true,
  });
}

function startRay(
  { plan, cluster, train, secrets, mounts, image }: Base,
  parts: {
    account: TrainerAccount;
    environment: ReturnType<typeof containerEnvironment>;
    before: readonly pulumi.Resource[];
  },
): RayCluster {
  const { labels, names, disruption } = plan;
  return new RayCluster(
    "ray",
    {
      labels,
      names,
      ray: withImage(plan.ray, image),
      namespace: train.namespace,
      serviceAccount: parts.account.serviceAccount,
      environment: parts.environment,
      mounts,
      group: plan.storage.group,
      authenticationSecret: secrets.rayAuthentication,
      disruption,
    },
    { provider: cluster.provider, dependsOn: [...parts.before] },
  );
}

// Frozen models depend on Ray: its workers need whole nodes, and the models take what is left.
function serveFrozenModels(
  { plan, cluster, train, secrets, mounts, image }: Base,
  training: StartCheck,
): FrozenModel[] {
  const models = mounts.find(({ name }) => name === "models");
  if (!models) throw new Error("the Plan has no models volume");
  return plan.serving.map(
    (model) =>
      new FrozenModel(
        model.object,
        {
          labels: plan.labels,
          model: withImage(model, image),
          gpuResource: plan.gpuDemand.resource,
          nodes: plan.gpuPlacement,
          disruption: plan.disruption,
          namespace: train.namespace,
          models,
          pullSecret: secrets.pull.train,
        },
        { provider: cluster.provider, dependsOn: [train, training] },
      ),
  );
}

function reapSandboxes(
  { plan, cluster, train, sandbox, secrets, image }: Base,
  ray: RayCluster,
  training: StartCheck,
): Reaper {
  return new Reaper(
    plan.reaper.name,
    {
      labels: plan.labels,
      reaper: plan.reaper,
      stack: plan.names.stack,
      image: image(plan.trainer.image),
      nodes: plan.ray.head,
      namespace: train.namespace,
      sandboxNamespace: sandbox.namespace,
      jobsUrl: ray.jobsUrl,
      rayToken: secrets.rayToken,
      pullSecret: secrets.pull.train,
      rolloutMinutes: plan.rolloutMinutes,
    },
    { provider: cluster.provider, dependsOn: [train, sandbox, training] },
  );
}

function startTrainer(
  { plan, cluster, train, secrets, image }: Base,
  ray: RayCluster,
  account: TrainerAccount,
): TrainerJob {
  const { labels, names, trainer, storage, rolloutMinutes } = plan;
  return new TrainerJob(
    "trainer",
    {
      labels,
      names,
      trainer: withImage(trainer, image),
      directories: storage.directories,
      nodes: plan.ray.head,
      namespace: train.namespace,
      serviceAccount: account.serviceAccount,
      jobsUrl: ray.jobsUrl,
      rayToken: secrets.rayToken,
      headTimeoutSeconds: rolloutMinutes * 60,
      attempt: cluster.attempts.trainer,
    },
    { provider: cluster.provider, dependsOn: [ray] },
  );
}

// The recorder in front of the rollout servers, which exist once the trainer has started them; then LiteLLM.
function servePolicy(
  base: Base,
  parts: { endpoint: ProxyEndpoint; ray: RayCluster; training: StartCheck },
): (Recorder | LiteLlmProxy)[] {
  const { plan, cluster, train, secrets, image } = base;
  const { provider } = cluster;
  const { labels, names, rolloutMinutes } = plan;
  const { namespace, proxy, credentials } = withProxy(base);
  const recorder = new Recorder(
    "recorder",
    {
      labels,
      names,
      recorder: proxy.recorder,
      rolloutServers: proxy.rolloutServers,
      disruption: plan.disruption,
      trainer: withImage(plan.trainer, image),
      trials: plan.storage.directories.trials,
      mounts: trialMounts(base),
      group: plan.storage.group,
      nodes: plan.ray.head,
      namespace: train.namespace,
      jobsUrl: parts.ray.jobsUrl,
      rayToken: secrets.rayToken,
      pullSecret: secrets.pull.train,
      rolloutMinutes,
    },
    { provider, dependsOn: [train, awaitRollout(base, parts)] },
  );
  const litellm = new LiteLlmProxy(
    "litellm",
    {
      labels,
      names,
      proxy,
      nodes: plan.ray.head,
      namespace: namespace.namespace,
      secrets: credentials,
      pullSecret: secrets.pull.proxy,
      rolloutMinutes,
    },
    { provider, dependsOn: [namespace, parts.endpoint, recorder] },
  );
  return [recorder, litellm];
}

function trialMounts({ mounts }: Base) {
  return mounts.filter(({ name }) => name === "trials");
}

// The update ends when the policy is served, the agents' way.
function checkPolicy(
  base: Base,
  parts: {
    endpoint: ProxyEndpoint | undefined;
    ray: RayCluster;
    services: StartCheck;
  },
): void {
  const { plan, cluster, secrets } = base;
  const { endpoint, ray, services } = parts;
  new PolicyCheck(
    plan.names.policyCheck,
    {
      ...checkBasis(base, ray),
      object: plan.names.policyCheck,
      litellm: endpoint && {
        url: endpoint.url,
        sandboxKey: secrets.training.sandboxKey,
        trials: plan.storage.directories.trials,
        mounts: trialMounts(base),
        group: plan.storage.group,
      },
      attempt: cluster.attempts.policyCheck,
    },
    { provider: cluster.provider, dependsOn: [base.train, services] },
  );
}

// Rollout servers exist once the trainer has started them. A run that fails before ends the update here, and not where
// a Deployment waits for it in silence.
function awaitRollout(base: Base, parts: { ray: RayCluster; training: StartCheck }): PolicyCheck {
  const { plan, cluster } = base;
  const { rolloutCheck: object } = plan.names;
  return new PolicyCheck(
    object,
    { ...checkBasis(base, parts.ray), object, attempt: cluster.attempts.rolloutCheck },
    { provider: cluster.provider, dependsOn: [base.train, parts.training] },
  );
}

function checkBasis({ plan, train, secrets, image }: Base, ray: RayCluster) {
  return {
    labels: plan.labels,
    check: plan.policyCheck,
    trainer: withImage(plan.trainer, image),
    nodes: plan.ray.head,
    namespace: train.namespace,
    jobsUrl: ray.jobsUrl,
    rayToken: secrets.rayToken,
    pullSecret: secrets.pull.train,
    rolloutMinutes: plan.rolloutMinutes,
  };
}

function withProxy({ plan: { proxy }, proxy: namespace, secrets }: Base) {
  if (proxy.mode !== "litellm" || !namespace || !secrets.proxy) {
    throw new Error("the Plan has LiteLLM but no namespace for it");
  }
  return { proxy, namespace, credentials: secrets.proxy };
}

/** Where agents reach the policy in proxy mode `in_process`: with the fork, each trial has a URL of its own. */
function trialUrl(proxy: Plan["proxy"]): string {
  if (proxy.mode === "litellm") throw new Error("LiteLLM has one address for all trials");
  const { from, to } = proxy.ports;
  return `http://<pod of a Ray worker>:<${from}-${to}>${proxy.isKeyed ? "" : "/sess/<trial>"}`;
}
