import type { Settings } from "../load.ts";
import { type AsyncTraining, planAsyncTraining } from "./async-training.ts";
import { type Batches, planBatches } from "./batches.ts";
import { type Compartments, planCompartments } from "./compartments.ts";
import { type Disruption, planDisruption } from "./disruption.ts";
import { type GpuDemand, planGpuDemand } from "./gpu-demand.ts";
import { type DockerHost, planDockerHost } from "./docker/host.ts";
import { type Engine, planEngine } from "./engine.ts";
import { type Names, planNames, stackLabels } from "./names.ts";
import { type Flow, planFlows } from "./network.ts";
import { type NodeClaim, planNodeClaim } from "./node-claim.ts";
import { gpuPlacement, type NodePool, type Placement, planNodePools } from "./node-pools.ts";
import { type Outputs, planOutputs } from "./outputs.ts";
import { Problems, type RuleProblem } from "./problems.ts";
import { planProxy, type Proxy } from "./proxy.ts";
import { costOfProxyMode, type InProcessProxy, planInProcessProxy } from "./proxy-mode.ts";
import { planRay, type Ray } from "./ray.ts";
import { planScaffold, type Scaffold } from "./scaffold.ts";
import { planSandboxes, type Sandboxes } from "./sandboxes.ts";
import { type FrozenModel, planServing, withServingFlows } from "./serving.ts";
import { planStorage, type Storage } from "./storage.ts";
import { planTopology, type Topology } from "./topology.ts";
import { planTrainer, type Trainer } from "./trainer.ts";

/** Every decision about a stack, as a plain value. */
export interface Plan {
  readonly names: Names;
  /** Labels of every object. */
  readonly labels: Readonly<Record<string, string>>;
  readonly compartments: Compartments;
  readonly topology: Topology;
  readonly engine: Engine;
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
  readonly flows: readonly Flow[];
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
  const serving = planServing(settings, topology, problems);
  const sandboxes = planSandboxes(settings, { batches, asyncTraining }, problems);
  const disruption = planDisruption(settings);
  const proxy =
    settings.experiment.proxy.mode === "litellm"
      ? planProxy(settings, { names, topology })
      : planInProcessProxy(ray.ports);
  const run = { names, topology, engine, batches, asyncTraining, storage, scaffold };
  const trainer = planTrainer(settings, run, problems);
  const dockerHost = planDockerHost(settings, { ...run, sandboxes }, problems);
  return {
    plan: {
      names,
      labels: stackLabels(names.stack),
      compartments: planCompartments(names, { storage, proxy }),
      topology,
      engine,
      batches,
      asyncTraining,
      scaffold,
      storage,
      ray,
      trainer,
      proxy,
      proxyCost: costOfProxyMode(proxy.mode, topology, ray.ports),
      sandboxes,
      flows: withServingFlows(planFlows(settings, ray.ports), serving),
      nodeClaim: claim,
      gpuDemand,
      gpuPlacement: placement,
      nodePools: planNodePools(settings, { demand: gpuDemand, sandboxes, disruption }, problems),
      serving,
      disruption,
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
