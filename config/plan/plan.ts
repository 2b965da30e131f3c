import type { Settings } from "../load.ts";
import type { Problem } from "../problem.ts";
import { type Batches, planBatches } from "./batches.ts";
import { type Names, planNames, stackLabels } from "./names.ts";
import { type Flow, planFlows } from "./network.ts";
import { type Outputs, planOutputs } from "./outputs.ts";
import { Problems } from "./problems.ts";
import { planProxy, type Proxy } from "./proxy.ts";
import { planRay, type Ray } from "./ray.ts";
import { planSandboxes, type Sandboxes } from "./sandboxes.ts";
import { planStorage, type Storage } from "./storage.ts";
import { planTopology, type Topology } from "./topology.ts";
import { planTrainer, type Trainer } from "./trainer.ts";

/** Every decision about a stack, as a plain value. */
export interface Plan {
  readonly names: Names;
  /** Labels of every object. */
  readonly labels: Readonly<Record<string, string>>;
  readonly topology: Topology;
  readonly batches: Batches;
  readonly storage: Storage;
  readonly ray: Ray;
  readonly trainer: Trainer;
  readonly proxy: Proxy;
  readonly sandboxes: Sandboxes;
  readonly flows: readonly Flow[];
  /** Names of GPU nodes that the stack reserves for itself. */
  readonly claimedNodes: readonly string[];
  /** Minutes that `pulumi up` waits for the policy to be served. */
  readonly rolloutMinutes: number;
  readonly outputs: Outputs;
}

export interface PlanResult {
  /** Meaningful only without problems. */
  readonly plan: Plan;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Decides everything about a stack. Pure: the same settings give the same Plan, and nothing else is read. */
export function plan(settings: Settings): PlanResult {
  const problems = new Problems();
  const names = planNames(settings, problems);
  const topology = planTopology(settings, problems);
  const batches = planBatches(settings, topology, problems);
  const storage = planStorage(settings, names, problems);
  const ray = planRay(settings, topology, problems);
  const trainer = planTrainer(settings, { names, topology, batches, storage }, problems);
  return {
    plan: {
      names,
      labels: stackLabels(names.stack),
      topology,
      batches,
      storage,
      ray,
      trainer,
      proxy: planProxy(settings, topology),
      sandboxes: planSandboxes(settings, problems),
      flows: planFlows(settings, ray.ports),
      claimedNodes: planClaim(settings, topology, problems),
      rolloutMinutes: settings.site.timeouts.rollout_minutes,
      outputs: planOutputs(names, storage, trainer.tracked),
    },
    problems: problems.errors,
    warnings: problems.warnings,
  };
}

function planClaim({ site }: Settings, topology: Topology, problems: Problems): readonly string[] {
  const { claim } = site.gpu_nodes;
  if (claim.length > 0 && claim.length !== topology.gpuNodes) {
    problems.error(
      ["site", "gpu_nodes", "claim"],
      `names ${claim.length} nodes, but tier ${topology.tier} has ${topology.gpuNodes}: the rest would wait for ever, or stand idle.`,
    );
  }
  return claim;
}
