/** Child processes: programs that the command waits for, and services that go on after it. */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { interruption } from "./interrupt.ts";
import { LabError } from "./problem.ts";

export interface Finished {
  /** Exit code; null if a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** File for all output; without it the output is returned. */
  readonly log?: string;
  /** Ends the program early; an interruption of the command always does. */
  readonly signal?: AbortSignal;
}

/** Time between SIGTERM and SIGKILL. */
const graceMilliseconds = 5000;

/**
 * Runs a program to its end, whatever its exit code.
 * @throws {LabError} If it cannot be started, or the reason of the signal that ended it.
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const stop = AbortSignal.any([interruption, ...(options.signal ? [options.signal] : [])]);
  stop.throwIfAborted();
  const log = options.log === undefined ? undefined : openSync(options.log, "a");
  const output = log ?? ("pipe" as const);
  // In a process group of its own, the program and its children get Ctrl-C once, from `end`.
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", output, output],
    detached: true,
  });
  if (log !== undefined) closeSync(log);
  const signalGroup = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // The process group has ended already.
    }
  };
  let killer: NodeJS.Timeout | undefined;
  const end = () => {
    signalGroup("SIGTERM");
    killer = setTimeout(() => {
      signalGroup("SIGKILL");
    }, graceMilliseconds);
  };
  stop.addEventListener("abort", end);
  try {
    const finished = await new Promise<Finished>((resolve, reject) => {
      const texts = { stdout: "", stderr: "" };
      child.stdout?.setEncoding("utf8").on("data", (text: string) => (texts.stdout += text));
      child.stderr?.setEncoding("utf8").on("data", (text: string) => (texts.stderr += text));
      child.on("error", (error) => {
        reject(new LabError(`${command} cannot be started: ${error.message}`));
      });
      child.on("close", (code) => {
        resolve({ code, ...texts });
      });
    });
    stop.throwIfAborted();
    return finished;
  } finally {
    stop.removeEventListener("abort", end);
    clearTimeout(killer);
  }
}

/** Starts a program that goes on after this process ends, and appends its output to the log. */
export function startService(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv; readonly log: string },
): void {
  const log = openSync(options.log, "a");
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  // `waitFor` reports a part that does not run, with the end of its log.
  child.on("error", () => undefined);
  child.unref();
}

/** Whether a terminal is attached. A program in the foreground then shares the process group and gets Ctrl-C directly. */
export function onTerminal(): boolean {
  return [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
}
