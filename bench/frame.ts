/** What all benches with a lab share: the lab, three programs in a folder, timed commands, rounds. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { copyProject } from "../test/support/project-copy.ts";
import { labEnvironment, labProgram } from "./supervise.ts";

const root = join(import.meta.dirname, "..");

/** The stack that every program has. */
export const stack = "single-node";

/** The project itself, a program that registers the same objects without it, and a program without resources. */
export const subjects = ["stack", "bare", "empty"] as const;
export type Subject = (typeof subjects)[number];

/** @returns The report. */
export type Bench = (frame: Frame, runs: number) => string | Promise<string>;

export class Frame {
  readonly #folder: string;
  /** Variables with which `kubectl` and `pulumi` work with the lab. */
  readonly environment: NodeJS.ProcessEnv;

  constructor(folder: string) {
    this.#folder = folder;
    this.#lab("down");
    this.#lab("up");
    const variables = JSON.parse(this.#lab("env", "--json")) as Record<string, string>;
    this.environment = { ...process.env, ...variables };
    for (const subject of subjects) this.#makeProject(subject);
  }

  #makeProject(subject: Subject): void {
    const folder = this.folder(subject);
    if (subject === "stack") {
      copyProject(folder);
    } else {
      mkdirSync(join(folder, "stacks"), { recursive: true });
      for (const file of ["Pulumi.yaml", "package.json"])
        cpSync(join(root, file), join(folder, file));
      symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
      const program = join(folder, "stacks/index.ts");
      if (subject === "bare") cpSync(join(root, "bench/bare/index.ts"), program);
      else writeFileSync(program, 'import "@pulumi/pulumi";\n');
    }
    // All three have the same project and stack names, so each has a backend of its own.
    mkdirSync(join(folder, "backend"));
    this.pulumi(subject, "stack", "init", stack);
  }

  /** Project of a program. */
  folder(subject: Subject): string {
    return join(this.#folder, subject);
  }

  /** Runs Pulumi in the project of a program. @returns Seconds of wall time. */
  pulumi(subject: Subject, ...args: string[]): number {
    return this.time("pulumi", [...args, "--non-interactive"], subject);
  }

  /** @returns Standard output. */
  kubectl(...args: string[]): string {
    return this.output("kubectl", args);
  }

  /** @returns Seconds of wall time. */
  time(command: string, args: readonly string[], subject?: Subject): number {
    const began = performance.now();
    this.output(command, args, subject);
    return (performance.now() - began) / 1000;
  }

  /** Runs a command in the project of a program. @returns Standard output. */
  output(command: string, args: readonly string[], subject: Subject = "stack"): string {
    const cwd = this.folder(subject);
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd,
      env: { ...this.environment, PULUMI_BACKEND_URL: `file://${cwd}/backend` },
      encoding: "utf8",
      maxBuffer: 2 ** 27,
    });
    if (status !== 0) {
      throw new Error(
        `${subject}: ${command} ${args.join(" ")} ended with ${String(status)}\n${stdout}${stderr}`,
      );
    }
    return stdout;
  }

  /** Deletes the namespace that `pulumi destroy` retains, and makes its volumes available again. */
  clean(): void {
    this.kubectl("delete", "namespace", `${stack}-train`, "--ignore-not-found", "--wait");
    this.#lab("up");
  }

  #lab(...args: string[]): string {
    return execFileSync(process.execPath, [labProgram, ...args], {
      env: labEnvironment,
      encoding: "utf8",
      stdio: ["ignore", "pipe", args[0] === "up" ? "inherit" : "ignore"],
    });
  }
}

/** Takes figures once without counting them, then `runs` times. @returns All counted values of each figure. */
export function repeat<Name extends string>(
  runs: number,
  measure: (run: number) => Record<Name, number>,
): Record<Name, number[]> {
  measure(0);
  const counted = Array.from({ length: runs }, (_, i) => measure(i + 1));
  const names = Object.keys(counted[0] ?? {}) as Name[];
  return Object.fromEntries(
    names.map((name) => [name, counted.map((figures) => figures[name])]),
  ) as Record<Name, number[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
