import { bytesOf } from "../../config/schema/scalars.ts";
import type { Basis } from "../host.ts";
import type { Batches } from "../run/index.ts";

/** What the recorder may write to the volume of the trials; nothing deletes it during a run. */
export interface TrialRecords {
  /** Bytes of one trial at most. */
  readonly perTrial: number;
  /** Bytes of one step at most. */
  readonly perStep: number;
  /** Steps whose records the volume holds if every trial is that long. */
  readonly steps: number;
}

/** Bytes of a line for each prompt token: its id with a comma, up to 7, and the text of the request, about 5. */
const promptTokenBytes = 12;
/** For each sampled token: id 7, log-probability 23, text and what stands around it. */
const sampledTokenBytes = 36;

/**
 * Every call's line has its whole prompt, which grows from turn to turn up to the window: half of it on average.
 * undefined in proxy mode `in_process`, where the image's agent loop writes what it writes.
 */
export function planTrialRecords(
  { experiment }: Basis,
  { batches }: { batches: Batches },
): TrialRecords | undefined {
  if (experiment.proxy.mode !== "litellm") return undefined;
  const { max_iterations: calls } = experiment.harbor_agent;
  const perTrial =
    (promptTokenBytes * calls * batches.agentWindow) / 2 +
    sampledTokenBytes * batches.responseTokens;
  const perStep = perTrial * batches.trialsPerStep;
  return {
    perTrial,
    perStep,
    steps: Math.floor(bytesOf(experiment.storage.trials.size) / perStep),
  };
}
