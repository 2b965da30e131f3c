import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const variable = "SWE_RL_BENCH_FOLDER";

/** Folder of the measuring process; undefined in its supervisor. */
export const workFolder = process.env[variable];

/** Selects the lab of the benches. */
export const labEnvironment = { ...process.env, SWE_RL_LAB: "bench" };
export const labProgram = join(root, "lab/main.ts");

/**
 * Runs the same command in a process group of its own, and removes its lab and folder afterwards. A measuring process
 * blocks on its commands and handles no signal, so it cannot clean up when it is interrupted.
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
