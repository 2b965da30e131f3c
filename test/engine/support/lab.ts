import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
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
const name = "test";

/** Brings the lab up before the first engine test, and down after the last. */
export default function setup(project: TestProject): () => void {
  lab(name, "down");
  lab(name, "up", "--gpu-nodes", "6");
  project.provide("lab", environmentOf(name));
  return () => {
    lab(name, "down");
  };
}

/** A cluster beside that of the tests, with the same name of its context. */
export class OtherLab implements Disposable {
  readonly #name = `${name}-other`;

  constructor() {
    lab(this.#name, "down");
    lab(this.#name, "up");
  }

  kubeconfig(): string {
    const { KUBECONFIG: file = "" } = environmentOf(this.#name);
    return readFileSync(file, "utf8");
  }

  [Symbol.dispose](): void {
    lab(this.#name, "down");
  }
}

function environmentOf(name: string): LabEnvironment {
  const environment = execFileSync(process.execPath, ["lab/main.ts", "env", "--json"], {
    cwd: projectRoot,
    env: { ...process.env, SWE_RL_LAB: name },
    encoding: "utf8",
  });
  return JSON.parse(environment) as LabEnvironment;
}

function lab(name: string, command: "up" | "down", ...options: string[]): void {
  const { status } = spawnSync(process.execPath, ["lab/main.ts", command, ...options], {
    cwd: projectRoot,
    env: { ...process.env, SWE_RL_LAB: name },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error(`lab ${command} ended with exit code ${String(status)}`);
}
