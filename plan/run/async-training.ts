import type { Settings } from "../../config/load/load.ts";
import type { Experiment } from "../../config/schema/experiment.ts";
import type { Batches } from "./batches.ts";
import type { Problems } from "../problems.ts";
import type { Topology } from "./topology.ts";

/** How rollout and training overlap. */
export interface AsyncTraining {
  readonly stalenessThreshold: number;
  readonly partialRollout: boolean;
  readonly requireBatches: number;
  /** Trainer steps between two weight syncs. */
  readonly parameterSyncSteps: number;
  readonly totalRolloutSteps: number;
  /** Prompts that the trainer takes at once. */
  readonly requiredSamples: number;
  /** Prompts in flight at once. */
  readonly maxConcurrentSamples: number;
  /** What verl is told about that, where it can be told. */
  readonly concurrentSamplesPerServer: number | undefined;
  /** Prompts that may wait for the trainer. */
  readonly maxQueuedSamples: number;
  readonly validationMinIdleWorkers: number;
}

/** Prompts in flight for each rollout server, as the code of each distribution has it (domain 9.3). */
const samplesPerServer: Record<Experiment["verl"]["distribution"], number> = {
  fork: 32,
  stock: 16,
};

/** @returns undefined for the synchronous tier. */
export function planAsyncTraining(
  settings: Settings,
  parts: { topology: Topology; batches: Batches },
  problems: Problems,
): AsyncTraining | undefined {
  const { topology, batches } = parts;
  if (topology.mode === "sync") return undefined;
  const { async_training: wanted, verl } = settings.experiment;
  const requiredSamples = batches.miniBatchPrompts * wanted.require_batches;
  const steps = wanted.trigger_parameter_sync_step ?? batches.prompts / requiredSamples;
  if (!Number.isInteger(steps) || steps < 1) {
    problems.error(
      "sync-step",
      ["async_training", "require_batches"],
      `is ${wanted.require_batches}: train_batch_size ${batches.prompts} / (mini-batch ${batches.miniBatchPrompts} × ${wanted.require_batches}) = ${steps} trainer steps between weight syncs, and a whole number is needed (D-29). Choose sizes that divide, or set async_training.trigger_parameter_sync_step.`,
    );
  }
  // Both distributions compute it so (fully_async_rollouter.py, set_max_required_samples).
  const maxQueuedSamples = Math.floor(requiredSamples * (1 + wanted.staleness_threshold) * steps);
  const perServer = planSamplesPerServer(settings, topology, problems);
  return {
    stalenessThreshold: wanted.staleness_threshold,
    partialRollout: wanted.partial_rollout,
    requireBatches: wanted.require_batches,
    parameterSyncSteps: steps,
    totalRolloutSteps: wanted.total_rollout_steps,
    requiredSamples,
    maxConcurrentSamples: Math.min(topology.rolloutServers * perServer, maxQueuedSamples),
    concurrentSamplesPerServer: canBeTold(verl) ? perServer : undefined,
    maxQueuedSamples,
    validationMinIdleWorkers: wanted.validation_rollout_min_idle_workers,
  };
}

function planSamplesPerServer(
  { experiment }: Settings,
  topology: Topology,
  problems: Problems,
): number {
  const { async_training: wanted, verl } = experiment;
  const usual = samplesPerServer[verl.distribution];
  const { max_concurrent_samples: most } = wanted;
  if (most === undefined || most === usual * topology.rolloutServers) return usual;
  const path = ["async_training", "max_concurrent_samples"];
  if (!canBeTold(verl)) {
    problems.error(
      "concurrent-samples",
      path,
      `is ${most}, but verl ${verl.version} (${verl.distribution}) derives it: ${topology.rolloutServers} rollout servers × ${usual} (D-11). Leave it out, or use stock verl 0.9.1.`,
    );
  }
  problems.divides(
    "concurrent-samples",
    { path, divisor: topology.rolloutServers, value: most },
    `is ${most}, which the ${topology.rolloutServers} rollout servers cannot share evenly. Choose a multiple of ${topology.rolloutServers}.`,
  );
  return most / topology.rolloutServers;
}

function canBeTold(verl: Experiment["verl"]): boolean {
  return verl.distribution === "stock" && verl.version !== "0.8.0";
}
