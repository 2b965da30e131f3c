/** Turns SIGINT, SIGTERM and SIGHUP into one AbortSignal, so that the command ends its programs in order. */
import { setTimeout as sleep } from "node:timers/promises";
import { Interrupted } from "./problem.ts";

const controller = new AbortController();

/** Aborted by a signal, with an {@link Interrupted} as its reason. */
export const interruption = controller.signal;

let shielded = 0;

export function listenForSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (shielded === 0) controller.abort(new Interrupted(signal));
    });
  }
}

/** While the work runs, only other listeners handle signals: those of a foreground program. */
export async function shield<T>(work: () => Promise<T>): Promise<T> {
  shielded += 1;
  try {
    return await work();
  } finally {
    shielded -= 1;
  }
}

/** Waits. @throws {Interrupted} If a signal stops the command meanwhile. */
export async function pause(milliseconds: number): Promise<void> {
  interruption.throwIfAborted();
  await sleep(milliseconds, undefined, { signal: interruption }).catch(() => {
    interruption.throwIfAborted();
  });
}
