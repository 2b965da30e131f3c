import type { Basis } from "../host.ts";
import type { Experiment } from "../../config/schema/experiment.ts";
import type { Batches } from "./batches.ts";
import type { Topology } from "./topology.ts";

/** How rollout and training overlap. */
export interface AsyncTraining {
  readonly stalenessThreshold: number;
  readonly partialRollout: boolean;
  readonly requireBatches: number;
  /** Trainer steps between two weight syncs. */
  readonly parameterSyncSteps: number;
  /** Prompts of the whole run, at most. */
  readonly totalRolloutSteps: number;
  /** Weight syncs of the whole run, at most; verl counts them as its steps. */
  readonly weightSyncs: number;
  /** Prompts that the trainer takes at once. */
  readonly requiredSamples: number;
  /** Prompts in flight at once. */
  readonly maxConcurrentSamples: number;
  /** What verl's configuration says about that, in releases that have a key for it. */
  readonly concurrentSamplesPerServer: number | undefined;
  /** Prompts that may wait for the trainer. */
  readonly maxQueuedSamples: number;
  readonly validationMinIdleWorkers: number;
}

/** Prompts in flight for each rollout server, as the code of each distribution has it. */
export const samplesPerServer: Record<Experiment["verl"]["distribution"], number> = {
  fork: 32,
  stock: 16,
};

/** @returns undefined for the synchronous tier. */
export function planAsyncTraining(
  settings: Basis,
  parts: { topology: Topology; batches: Batches },
): AsyncTraining | undefined {
  const { topology, batches } = parts;
  if (topology.mode === "sync") return undefined;
  const { async_training: wanted, verl } = settings.experiment;
  const requiredSamples = batches.miniBatchPrompts * wanted.require_batches;
  const steps = wanted.trigger_parameter_sync_step ?? batches.prompts / requiredSamples;
  // Both distributions compute it so (fully_async_rollouter.py, set_max_required_samples).
  const maxQueuedSamples = Math.floor(requiredSamples * (1 + wanted.staleness_threshold) * steps);
  const perServer = concurrencyOf(settings, topology);
  return {
    stalenessThreshold: wanted.staleness_threshold,
    partialRollout: wanted.partial_rollout,
    requireBatches: wanted.require_batches,
    parameterSyncSteps: steps,
    totalRolloutSteps: wanted.total_rollout_steps,
    weightSyncs: Math.floor(wanted.total_rollout_steps / (requiredSamples * steps)),
    requiredSamples,
    maxConcurrentSamples: Math.min(topology.rolloutServers * perServer, maxQueuedSamples),
    concurrentSamplesPerServer: canSetConcurrency(verl) ? perServer : undefined,
    maxQueuedSamples,
    validationMinIdleWorkers: wanted.validation_rollout_min_idle_workers,
  };
}

function concurrencyOf({ experiment }: Basis, { rolloutServers }: Topology): number {
  const { async_training: wanted, verl } = experiment;
  const { max_concurrent_samples: most } = wanted;
  return most === undefined ? samplesPerServer[verl.distribution] : most / rolloutServers;
}

/** Whether verl takes the number of prompts in flight from its configuration. */
export function canSetConcurrency(verl: Experiment["verl"]): boolean {
  return verl.distribution === "stock" && verl.version !== "0.8.0";
}
