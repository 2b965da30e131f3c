import { bytesOf } from "../../config/schema/scalars.ts";
import type { Basis } from "../host.ts";
import type { Memory } from "../memory/index.ts";

/** What a run leaves on the checkpoint volume. */
export interface Checkpoints {
  /** Checkpoints that one start of verl keeps; `all`: it deletes none. */
  readonly keep: number | "all";
  /** Trainer steps between two checkpoints; in asynchronous training weight syncs. undefined: none is saved. */
  readonly interval: number | undefined;
  /** Bytes of one; undefined where the model's shapes are not known. */
  readonly bytes: number | undefined;
  /** Checkpoints that the volume holds; undefined where their size is not known. */
  readonly room: number | undefined;
  /** Most checkpoints of one start at a time; undefined: no bound. */
  readonly perStart: number | undefined;
  /** The same with every restart: verl forgets what an earlier start saved, and never deletes it. */
  readonly withRestarts: number | undefined;
}

/** Where the size of a checkpoint is not known. */
const keptOfUnknownSize = 2;

/** Retention as verl 0.8.0 and 0.9.1 do it (verl/utils/checkpoint/checkpoint_manager.py). */
export function planCheckpoints(
  { experiment }: Basis,
  { memory }: { memory: Memory | undefined },
): Checkpoints {
  const { training, trainer, storage } = experiment;
  const starts = trainer.max_restarts + 1;
  const bytes = memory?.checkpointBytes;
  const room =
    bytes === undefined ? undefined : Math.floor(bytesOf(storage.checkpoints.size) / bytes);
  const affordable = room === undefined ? keptOfUnknownSize : Math.floor(room / starts);
  const keep = training.checkpoints_to_keep ?? Math.max(1, affordable);
  // The only one is deleted after the next is written, one of several before.
  const perStart = keep === "all" ? undefined : Math.max(2, keep);
  return {
    keep,
    interval: training.save_freq === -1 ? undefined : training.save_freq,
    bytes,
    room,
    perStart,
    withRestarts:
      keep === "all" || perStart === undefined ? undefined : perStart + trainer.max_restarts * keep,
  };
}

/** Step whose checkpoint no longer fits, if no start of verl is repeated; undefined: each fits, or the size is not known. */
export function fullAfterStep({ room, interval, perStart }: Checkpoints): number | undefined {
  if (room === undefined || interval === undefined) return undefined;
  if (perStart !== undefined && perStart <= room) return undefined;
  return room * interval;
}
