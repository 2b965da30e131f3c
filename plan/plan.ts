import type { Settings } from "../config/load/load.ts";
import { type Admission, planAdmission } from "./sandbox/admission.ts";
import { type AsyncTraining, planAsyncTraining } from "./run/async-training.ts";
import { type Batches, planBatches } from "./run/batches.ts";
import { type Compartments, planCompartments } from "./network/namespaces.ts";
import { type Disruption, planDisruption } from "./nodes/disruption.ts";
import { type GpuDemand, planGpuDemand } from "./nodes/demand.ts";
import { checkMemory } from "./memory/checks.ts";
import { type Memory, planMemory } from "./memory/memory.ts";
import { type DockerHost, planDockerHost } from "./docker/host.ts";
import { type Engine, planEngine } from "./run/engine.ts";
import { type Isolation, planIsolation } from "./network/gate.ts";
import { checkLearning } from "./run/learning.ts";
import { type Names, planNames, stackLabels } from "./names.ts";
import { type Flow, planFlows } from "./network/flows.ts";
import { type NodeClaim, planNodeClaim } from "./nodes/claim.ts";
import { gpuPlacement, type NodePool, type Placement, planNodePools } from "./nodes/pools.ts";
import { type Outputs, planOutputs } from "./outputs.ts";
import { Problems, type RuleProblem } from "./problems.ts";
import { planProxy, type Proxy } from "./serving/proxy.ts";
import { costOfProxyMode, type InProcessProxy, planInProcessProxy } from "./serving/proxy-mode.ts";
import { planRay, type Ray } from "./ray/ray.ts";
import { type Prepull, planPrepull } from "./sandbox/images.ts";
import { planReaper, type Reaper } from "./sandbox/reaper.ts";
import { planScaffold, type Scaffold } from "./run/scaffold.ts";
import { checkSandboxNodes } from "./nodes/sandbox-nodes.ts";
import { planSandboxes, type Sandboxes } from "./sandbox/bounds.ts";
import { type FrozenModel, planServing, withServingFlows } from "./serving/frozen-models.ts";
import { planStorage, type Storage } from "./storage/storage.ts";
import { checkTaskImages } from "./sandbox/task-images.ts";
import { planTopology, type Topology } from "./run/topology.ts";
import { planTrainer, type Trainer } from "./verl/trainer.ts";
import { checkValidation } from "./run/validation.ts";

/** Every decision about a stack, as a plain value. */
export interface Plan {
  readonly names: Names;
  /** Labels of every object. */
  readonly labels: Readonly<Record<string, string>>;
  readonly compartments: Compartments;
  readonly topology: Topology;
  readonly engine: Engine;
  /** undefined where the shapes of the model are not known. */
  readonly memory: Memory | undefined;
  readonly batches: Batches;
  /** undefined for the synchronous tier. */
  readonly asyncTraining: AsyncTraining | undefined;
  readonly scaffold: Scaffold;
  readonly storage: Storage;
  readonly ray: Ray;
  readonly trainer: Trainer;
  readonly proxy: Proxy | InProcessProxy;
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

export interface PlanResult {
  /** Meaningful only without problems. */
  readonly plan: Plan;
  readonly problems: readonly RuleProblem[];
  readonly warnings: readonly RuleProblem[];
  /** Rules that cannot be judged, for want of a fact. */
  readonly unknowns: readonly RuleProblem[];
}

/** Decides everything about a stack. Pure: the same settings give the same Plan, and nothing else is read. */
export function plan(settings: Settings): PlanResult {
  const problems = new Problems();
  const names = planNames(settings, problems);
  const topology = planTopology(settings, problems);
  const engine = planEngine(settings, topology, problems);
  const batches = planBatches(settings, { topology, engine }, problems);
  const asyncTraining = planAsyncTraining(settings, { topology, batches }, problems);
  const scaffold = planScaffold(settings, problems);
  const storage = planStorage(settings, { names, topology }, problems);
  const gpuDemand = planGpuDemand(settings, topology, problems);
  const claim = planNodeClaim(settings, gpuDemand, problems);
  const placement = gpuPlacement(settings, claim);
  const ray = planRay(settings, { topology, placement }, problems);
  const memory = planMemory(settings, { topology, engine, batches });
  checkMemory(settings, { memory, batches, ray }, problems);
  const serving = planServing(settings, topology, problems);
  const sandboxes = planSandboxes(settings, { batches, asyncTraining }, problems);
  const admission = planAdmission(settings, { names, sandboxes }, problems);
  const disruption = planDisruption(settings);
  const pools = planNodePools(settings, { demand: gpuDemand, sandboxes, disruption }, problems);
  const isCluster = settings.site.kind === "kubernetes";
  if (isCluster) {
    checkSandboxNodes({ topology, gpu: placement, sandbox: sandboxes, claim, pools }, problems);
  }
  const proxy =
    settings.experiment.proxy.mode === "litellm"
      ? planProxy(settings, { names, topology })
      : planInProcessProxy(ray.ports);
  const flows = withServingFlows(planFlows(settings, ray.ports), serving);
  const isolation = planIsolation(settings, { ports: ray.ports, flows, serving }, problems);
  const run = { names, topology, engine, batches, asyncTraining, storage, scaffold };
  const trainer = planTrainer(settings, run, problems);
  checkLearning(settings, problems);
  checkValidation(settings, problems);
  // On a Docker host Harbor builds them.
  if (isCluster) checkTaskImages(settings, problems);
  const dockerHost = planDockerHost(settings, { ...run, sandboxes }, problems);
  return {
    plan: {
      names,
      labels: stackLabels(names.stack),
      compartments: planCompartments(names, {
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
      ray,
      trainer,
      proxy,
      proxyCost: costOfProxyMode(proxy.mode, topology, ray.ports),
      sandboxes,
      admission,
      reaper: planReaper(settings, names),
      prepull: planPrepull(settings, { names, scaffold, sandboxes }),
      flows,
      isolation,
      nodeClaim: claim,
      gpuDemand,
      gpuPlacement: placement,
      nodePools: pools,
      serving,
      disruption,
      pullSecrets: settings.secrets?.has("registryCredentials") ?? true,
      dockerHost,
      rolloutMinutes: settings.site.timeouts.rollout_minutes,
      deletionSeconds: settings.site.timeouts.deletion_seconds,
      outputs: planOutputs(names, storage, trainer.tracked),
    },
    problems: problems.errors,
    warnings: problems.warnings,
    unknowns: problems.unknowns,
  };
}
