import { execFileSync, spawnSync } from "node:child_process";
import type { TestProject } from "vitest/node";
import { projectRoot } from "../../support/settings.ts";

/** Environment in which `pulumi` and `kubectl` work against the lab of the tests. */
export type LabEnvironment = Record<string, string>;

declare module "vitest" {
  interface ProvidedContext {
    lab: LabEnvironment;
  }
}

/** A lab of the tests' own, beside the user's. */
const variables = { ...process.env, SWE_RL_LAB: "test" };

/** Brings the lab up before the first engine test, and down after the last. */
export default function setup(project: TestProject): () => void {
  lab("down");
  lab("up", "--gpu-nodes", "6");
  const environment = execFileSync(process.execPath, ["lab/main.ts", "env", "--json"], {
    cwd: projectRoot,
    env: variables,
    encoding: "utf8",
  });
  project.provide("lab", JSON.parse(environment) as LabEnvironment);
  return () => {
    lab("down");
  };
}

function lab(command: "up" | "down", ...options: string[]): void {
  const { status } = spawnSync(process.execPath, ["lab/main.ts", command, ...options], {
    cwd: projectRoot,
    env: variables,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error(`lab ${command} ended with exit code ${String(status)}`);
}
