/** Runs a program that uses the terminal itself and handles signals itself. */
import { spawn } from "node:child_process";
import { shield } from "./interrupt.ts";
import { LabError } from "./problem.ts";
import { onTerminal } from "./run.ts";

export interface Ended {
  readonly code: number;
  /** The signal that stopped it, if any. */
  readonly stopped: NodeJS.Signals | undefined;
}

/** @throws {LabError} If it cannot be started. */
export async function runInForeground(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<Ended> {
  const shared = onTerminal();
  return await shield(async () => {
    let stopped: NodeJS.Signals | undefined;
    const child = spawn(command, args, { ...options, stdio: "inherit", detached: !shared });
    const forward = (signal: NodeJS.Signals) => {
      // On a terminal the program has got Ctrl-C already; a second SIGINT makes Pulumi end without saving its state.
      const isRepeated = stopped !== undefined || shared;
      if (signal !== "SIGINT" || !isRepeated) child.kill(signal);
      stopped ??= signal;
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    for (const signal of signals) process.on(signal, forward);
    try {
      return await new Promise((resolve, reject) => {
        child.on("error", (error) => {
          reject(new LabError(`${command} cannot be started: ${error.message}`));
        });
        child.on("close", (code) => {
          resolve({ code: code ?? 1, stopped });
        });
      });
    } finally {
      for (const signal of signals) process.off(signal, forward);
    }
  });
}
