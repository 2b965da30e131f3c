import type { Settings } from "../config/load/load.ts";
import { basisOf } from "./host.ts";
import { type DockerHost, planDockerHost } from "./docker/index.ts";
import { type ImageBuild, usedBuilds } from "./images/index.ts";
import { type Memory, planMemory } from "./memory/index.ts";
import {
  type Namespaces,
  planNamespaces,
  type Isolation,
  planIsolation,
  type Flow,
  planFlows,
  withServingFlows,
} from "./network/index.ts";
import {
  type Disruption,
  planDisruption,
  type GpuDemand,
  planGpuDemand,
  type NodeClaim,
  planNodeClaim,
  gpuPlacement,
  type NodePool,
  type Placement,
  planNodePools,
} from "./nodes/index.ts";
import { planRay, type Ray } from "./ray/index.ts";
import {
  type AsyncTraining,
  planAsyncTraining,
  type Batches,
  planBatches,
  type Engine,
  planEngine,
  planScaffold,
  type Scaffold,
  planTopology,
  type Topology,
} from "./run/index.ts";
import {
  type Admission,
  planAdmission,
  type Prepull,
  planPrepull,
  planReaper,
  type Reaper,
  planSandboxes,
  type Sandboxes,
} from "./sandbox/index.ts";
import {
  type PolicyCheck,
  planPolicyCheck,
  planProxy,
  type Proxy,
  costOfProxyMode,
  type InProcessProxy,
  planInProcessProxy,
  type FrozenModel,
  planServing,
} from "./serving/index.ts";
import {
  type Checkpoints,
  planCheckpoints,
  planStorage,
  planTrialRecords,
  type Storage,
  type TrialRecords,
} from "./storage/index.ts";
import { planTrainer, type Trainer } from "./verl/index.ts";
import { type Names, planNames, stackLabels } from "./names.ts";
import { type Outputs, planOutputs } from "./outputs.ts";
import { planStartCheck, type StartCheck } from "./start-check.ts";

/** Every decision about a stack, as a plain value. */
export interface Plan {
  readonly names: Names;
  /** Labels of every object. */
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaces: Namespaces;
  readonly topology: Topology;
  readonly engine: Engine;
  /** undefined where the shapes of the model are not known. */
  readonly memory: Memory | undefined;
  readonly batches: Batches;
  /** undefined for the synchronous tier. */
  readonly asyncTraining: AsyncTraining | undefined;
  readonly scaffold: Scaffold;
  readonly storage: Storage;
  readonly checkpoints: Checkpoints;
  /** undefined in proxy mode `in_process`. */
  readonly trialRecords: TrialRecords | undefined;
  readonly ray: Ray;
  readonly trainer: Trainer;
  readonly proxy: Proxy | InProcessProxy;
  /** What must be seen to serve before an update ends. */
  readonly policyCheck: PolicyCheck;
  /** How an update waits for what it starts. */
  readonly startCheck: StartCheck;
  /** What the proxy mode costs, in a sentence. */
  readonly proxyCost: string;
  readonly sandboxes: Sandboxes;
  /** What may be created among the sandboxes. */
  readonly admission: Admission;
  readonly reaper: Reaper;
  /** undefined unless the experiment asks for it. */
  readonly prepull: Prepull | undefined;
  readonly flows: readonly Flow[];
  /** How the sandboxes' isolation is made sure, and shown. */
  readonly isolation: Isolation;
  /** GPU nodes that the stack reserves for itself, if the site names any. */
  readonly nodeClaim: NodeClaim | undefined;
  /** GPUs of the whole stack: Ray's and the frozen models'. */
  readonly gpuDemand: GpuDemand;
  /** Where its GPU pods run. */
  readonly gpuPlacement: Placement;
  /** Nodes that Karpenter makes for the stack. */
  readonly nodePools: readonly NodePool[];
  /** Frozen models beside the run. */
  readonly serving: readonly FrozenModel[];
  readonly disruption: Disruption;
  /** Images that the stack builds before anything uses them. */
  readonly builds: readonly ImageBuild[];
  /** Whether the namespaces get a Secret with registry credentials; also where that cannot be known (no engine). */
  readonly pullSecrets: boolean;
  /** What the stack makes on a Docker host; undefined where the site is a cluster. */
  readonly dockerHost: DockerHost | undefined;
  /** Minutes that `pulumi up` waits for the policy to be served. */
  readonly rolloutMinutes: number;
  /** Seconds that the deletion of one object may take. */
  readonly deletionSeconds: number;
  readonly outputs: Outputs;
}

/** Decides everything about a stack. Pure: the same settings give the same Plan, and nothing else is read. */
export function plan(settings: Settings): Plan {
  const basis = basisOf(settings);
  const names = planNames(basis);
  const topology = planTopology(basis);
  const engine = planEngine(basis, topology);
  const batches = planBatches(basis, { engine });
  const asyncTraining = planAsyncTraining(basis, { topology, batches });
  const scaffold = planScaffold(basis);
  const storage = planStorage(basis, names);
  const gpuDemand = planGpuDemand(basis, topology);
  const claim = planNodeClaim(basis);
  const placement = gpuPlacement(basis, claim);
  const ray = planRay(basis, { topology, placement });
  const memory = planMemory(basis, { topology, engine, batches });
  const checkpoints = planCheckpoints(basis, { memory });
  const serving = planServing(basis, topology);
  const sandboxes = planSandboxes(basis);
  const admission = planAdmission(basis, { names, sandboxes });
  const disruption = planDisruption(basis);
  const pools = planNodePools(basis, { demand: gpuDemand, sandboxes, disruption });
  const proxy =
    basis.experiment.proxy.mode === "litellm"
      ? planProxy(basis, { names, topology, batches })
      : planInProcessProxy(basis, ray.ports);
  const flows = withServingFlows(planFlows(basis, { ports: ray.ports, proxy }), serving);
  const isolation = planIsolation(basis, { ports: ray.ports, proxy, flows, serving });
  const run = {
    names,
    topology,
    engine,
    batches,
    asyncTraining,
    storage,
    checkpoints,
    scaffold,
    sandboxes,
    proxy,
  };
  const trainer = planTrainer(basis, run);
  const dockerHost = planDockerHost(basis, run);
  return {
    names,
    labels: stackLabels(names.stack),
    namespaces: planNamespaces(names, {
      storage,
      proxy,
      sandboxSecurity: admission.podSecurity,
    }),
    topology,
    engine,
    memory,
    batches,
    asyncTraining,
    scaffold,
    storage,
    checkpoints,
    trialRecords: planTrialRecords(basis, { batches }),
    ray,
    trainer,
    proxy,
    policyCheck: planPolicyCheck(basis, { topology, proxy }),
    startCheck: planStartCheck({
      image: isolation.image,
      nodePools: pools,
      rolloutMinutes: basis.host.timeouts.rollout_minutes,
    }),
    proxyCost: costOfProxyMode(proxy, topology),
    sandboxes,
    admission,
    reaper: planReaper(basis, { names, sandboxes }),
    prepull: planPrepull(basis, { names, scaffold, sandboxes }),
    flows,
    isolation,
    nodeClaim: claim,
    gpuDemand,
    gpuPlacement: placement,
    nodePools: pools,
    serving,
    disruption,
    builds: usedBuilds(basis.host.builds, [
      trainer.image,
      isolation.image,
      scaffold.runtimeImage,
      ...serving.map(({ image }) => image),
    ]),
    pullSecrets: basis.secrets?.has("registryCredentials") ?? true,
    dockerHost,
    rolloutMinutes: basis.host.timeouts.rollout_minutes,
    deletionSeconds: basis.host.timeouts.deletion_seconds,
    outputs: planOutputs(names, storage, trainer.tracked),
  };
}
