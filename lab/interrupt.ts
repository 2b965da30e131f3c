/** Turns the signals that ask a command to stop into one AbortSignal, so that everything started is ended in order. */
import { setTimeout as sleep } from "node:timers/promises";
import { Interrupted } from "./problem.ts";

const controller = new AbortController();

/** Aborted, with an {@link Interrupted} as its reason, once the command has been told to stop. */
export const interruption = controller.signal;

let shielded = 0;

export function listenForSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (shielded === 0) controller.abort(new Interrupted(signal));
    });
  }
}

/** While the work runs, signals are left to whoever else listens: a foreground program that stops by itself. */
export async function shield<T>(work: () => Promise<T>): Promise<T> {
  shielded += 1;
  try {
    return await work();
  } finally {
    shielded -= 1;
  }
}

/** Waits; throws {@link Interrupted} if the command is told to stop meanwhile. */
export async function pause(milliseconds: number): Promise<void> {
  interruption.throwIfAborted();
  await sleep(milliseconds, undefined, { signal: interruption }).catch(() => {
    interruption.throwIfAborted();
  });
}
