import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { labEnvironment, labProgram } from "./supervise.ts";
import { type Measurements, type Step, steps, type Subject, subjects } from "./report.ts";

const root = join(import.meta.dirname, "..");
const stack = "single-node";
const keptNamespace = `${stack}-train`;

interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly custom: boolean;
  readonly inputs: Record<string, unknown>;
  readonly dependencies?: readonly string[];
  readonly retainOnDelete?: boolean;
  /** In seconds. */
  readonly customTimeouts?: { readonly create?: number; readonly delete?: number };
}

/** Arguments of `pulumi` that make each step; nothing is previewed twice. */
const commands: Record<Step, readonly string[]> = {
  preview: ["preview"],
  up: ["up", "--yes", "--skip-preview"],
  "up, no change": ["up", "--yes", "--skip-preview", "--expect-no-changes"],
  destroy: ["destroy", "--yes", "--skip-preview"],
};

/** Three programs in a folder, on a lab of their own. */
export class Bench {
  readonly #folder: string;
  readonly #environment: NodeJS.ProcessEnv;

  constructor(folder: string) {
    this.#folder = folder;
    this.#lab("down");
    this.#lab("up");
    this.#environment = {
      ...process.env,
      ...(JSON.parse(this.#lab("env", "--json")) as Record<string, string>),
    };
    for (const subject of subjects) this.#makeProject(subject);
  }

  /** Lives of all programs in turn, so that a machine that slows down slows all of them. The first round is not counted. */
  measure(runs: number): Measurements {
    const seconds = Object.fromEntries(
      subjects.map((subject) => [subject, Object.fromEntries(steps.map((step) => [step, []]))]),
    ) as unknown as Record<Subject, Record<Step, number[]>>;
    const kubectl: number[] = [];
    const objects = this.#deriveBareProgram();
    for (let run = 0; run <= runs; run++) {
      for (const subject of subjects) {
        for (const step of steps) {
          const time = this.time(
            "pulumi",
            [...commands[step], "-s", stack, "--non-interactive"],
            subject,
          );
          progress(`round ${run}: ${subject}, ${step} ${time.toFixed(2)} s`);
          if (run > 0) seconds[subject][step].push(time);
        }
        this.#clean();
      }
      const time = this.#applyWithKubectl(objects);
      progress(`round ${run}: kubectl apply ${time.toFixed(2)} s`);
      if (run > 0) kubectl.push(time);
    }
    return { objects: objects.length, runs, seconds, kubectl };
  }

  #makeProject(subject: Subject): void {
    const folder = join(this.#folder, subject);
    mkdirSync(join(folder, "stacks"), { recursive: true });
    cpSync(join(root, "Pulumi.yaml"), join(folder, "Pulumi.yaml"));
    cpSync(join(root, "package.json"), join(folder, "package.json"));
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    if (subject === "stack") {
      for (const part of [
        "components",
        "config",
        "plan",
        "preflight",
        "rules",
        "runtime",
        "stacks",
      ]) {
        cpSync(join(root, part), join(folder, part), {
          recursive: true,
          // The user's own stacks: another backend's salts and secrets.
          filter: (file) => !/^Pulumi\..+\.yaml$/.test(basename(file)),
        });
      }
    } else if (subject === "bare") {
      cpSync(join(root, "bench/bare/index.ts"), join(folder, "stacks/index.ts"));
    } else {
      writeFileSync(join(folder, "stacks/index.ts"), 'import "@pulumi/pulumi";\n');
    }
    // One project name, but a backend for each: the three have the same stack.
    const backend = join(folder, "backend");
    mkdirSync(backend);
    this.time("pulumi", ["stack", "init", stack, "--non-interactive"], subject);
  }

  /** Brings the stack up once and takes its objects from the engine's state. */
  #deriveBareProgram(): StateResource[] {
    this.time("pulumi", [...commands.up, "-s", stack], "stack");
    const exported = this.#run("pulumi", ["stack", "export", "-s", stack], "stack");
    const state = JSON.parse(exported) as { deployment: { resources: StateResource[] } };
    const resources = state.deployment.resources.filter(
      ({ custom, type }) => custom && !type.startsWith("pulumi:"),
    );
    const bare = resources.map(
      ({ urn, type, inputs, dependencies = [], retainOnDelete = false, customTimeouts = {} }) => ({
        urn,
        type,
        name: urn.split("::").at(-1),
        inputs: withoutSecrets(type, inputs),
        dependencies,
        retainOnDelete,
        deleteSeconds: customTimeouts.delete,
      }),
    );
    writeFileSync(join(this.#folder, "bare/objects.json"), JSON.stringify(bare));
    this.time("pulumi", [...commands.destroy, "-s", stack], "stack");
    this.#clean();
    return resources.filter(({ type }) => type.startsWith("kubernetes:"));
  }

  #applyWithKubectl(objects: readonly StateResource[]): number {
    const items = objects.map(({ type, inputs }) => withoutSecrets(type, inputs));
    const file = join(this.#folder, "objects.json");
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    const time = this.time(
      "kubectl",
      ["apply", "--server-side", "--force-conflicts", "-f", file],
      "empty",
    );
    this.#run("kubectl", ["delete", "-f", file, "--ignore-not-found", "--wait"], "empty");
    this.#clean();
    return time;
  }

  /** Removes what a stack keeps, and makes its volumes free again. */
  #clean(): void {
    this.#run(
      "kubectl",
      ["delete", "namespace", keptNamespace, "--ignore-not-found", "--wait"],
      "empty",
    );
    this.#lab("up");
  }

  /** Path of the lab's kubeconfig. */
  get kubeconfig(): string {
    return this.#environment["KUBECONFIG"] ?? "";
  }

  /** Project of a program. */
  folder(subject: Subject): string {
    return join(this.#folder, subject);
  }

  /** Environment in which `kubectl` and `pulumi` work with the lab. */
  get environment(): NodeJS.ProcessEnv {
    return this.#environment;
  }

  kubectl(...args: string[]): void {
    this.#run("kubectl", args, "stack");
  }

  /** Runs a command in the project of a program. @returns Its standard output. */
  output(command: string, args: readonly string[], subject: Subject): string {
    return this.#run(command, args, subject);
  }

  /** Runs a command in the project of a program. @returns Seconds of wall time. */
  time(command: string, args: readonly string[], subject: Subject): number {
    const began = performance.now();
    this.#run(command, args, subject);
    return (performance.now() - began) / 1000;
  }

  #run(command: string, args: readonly string[], subject: Subject): string {
    const cwd = this.folder(subject);
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd,
      env: { ...this.#environment, PULUMI_BACKEND_URL: `file://${cwd}/backend` },
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

  #lab(...args: string[]): string {
    return execFileSync(process.execPath, [labProgram, ...args], {
      env: labEnvironment,
      encoding: "utf8",
      stdio: ["ignore", "pipe", args[0] === "up" ? "inherit" : "ignore"],
    });
  }
}

/** Exported secrets are ciphertext; the API server gets some text of their length instead. */
function withoutSecrets(type: string, inputs: Record<string, unknown>): Record<string, unknown> {
  if (type !== "kubernetes:core/v1:Secret") return inputs;
  const { data: _data, stringData: _stringData, ...rest } = inputs;
  return { ...rest, stringData: { value: "x".repeat(43) } };
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}
