import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const variable = "SWE_RL_BENCH_FOLDER";

/** Folder of the measurement that this process is to make; undefined in the one that stays beside it. */
export const workFolder = process.env[variable];

/** With this the program of the lab works on that of the measurements. */
export const labEnvironment = { ...process.env, SWE_RL_LAB: "bench" };
export const labProgram = join(root, "lab/main.ts");

/**
 * Runs the same command in a process group of its own, and clears away after it. A measurement waits for its commands
 * without hearing a signal, so that whoever ends it would leave its lab running.
 */
export async function supervise(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "swe-rl-bench-"));
  const child = spawn(process.execPath, process.argv.slice(1), {
    env: { ...process.env, [variable]: folder },
    stdio: "inherit",
    detached: true,
  });
  const end = (signal: NodeJS.Signals) => {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => {
        resolve(code ?? 1);
      });
    });
  } finally {
    spawnSync(process.execPath, [labProgram, "down"], { env: labEnvironment, stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  }
}
