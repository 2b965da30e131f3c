import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyProject } from "./project-copy.ts";
import { projectRoot } from "./settings.ts";

export interface Outcome {
  readonly status: number;
  /** Standard output and standard error, as the user reads them. */
  readonly output: string;
  /** Standard output alone, for programs to read. */
  readonly stdout: string;
}

/** Tells this checkout's copies from another's. */
const checkout = createHash("sha256").update(projectRoot).digest("hex").slice(0, 8);

/** Numbers of the copies that are in use. */
const taken = new Set<number>();

/** A copy of the project, in which a test uses the plain Pulumi CLI against a lab. */
export class ProjectCopy {
  readonly root: string;
  readonly #number: number;
  readonly #given: Readonly<Record<string, string>>;
  readonly #environment: Record<string, string>;

  /** `suite`: two may run at the same time. `environment`: with which `pulumi` and `kubectl` work against the lab. */
  constructor(suite: string, environment: Readonly<Record<string, string>>) {
    this.#number = 0;
    while (taken.has(this.#number)) this.#number++;
    taken.add(this.#number);
    // The same folder again and again: what Node.js keeps of compiled programs goes by their path.
    this.root = join(tmpdir(), `swe-rl-project-${checkout}-${suite}-${this.#number}`);
    rmSync(this.root, { recursive: true, force: true });
    copyProject(this.root);
    this.#given = environment;
    this.#environment = { ...environment };
  }

  write(file: string, content: string): void {
    writeFileSync(join(this.root, file), content);
  }

  replace(file: string, [before, after]: [before: string, after: string]): void {
    const text = readFileSync(join(this.root, file), "utf8");
    if (!text.includes(before)) throw new Error(`${file} does not contain ${before}`);
    this.write(file, text.replace(before, after));
  }

  /** Of all commands from now on. @param content @default the lab's own again */
  useKubeconfig(content?: string): void {
    const { KUBECONFIG: own = "" } = this.#given;
    this.write("kubeconfig.json", content ?? "");
    this.#environment["KUBECONFIG"] =
      content === undefined ? own : join(this.root, "kubeconfig.json");
  }

  /** Runs `pulumi` as a user would. */
  pulumi(...args: string[]): Promise<Outcome> {
    return run(["pulumi", ...args, "--non-interactive"], this.root, this.#environment);
  }

  kubectl(...args: string[]): Promise<Outcome> {
    return run(["kubectl", ...args], this.root, this.#environment);
  }

  async objects<T>(...args: string[]): Promise<T[]> {
    const { status, output, stdout } = await this.kubectl("get", ...args, "-o", "json");
    if (status !== 0) throw new Error(output);
    return (JSON.parse(stdout) as { items: T[] }).items;
  }

  dispose(): void {
    rmSync(this.root, { recursive: true, force: true });
    taken.delete(this.#number);
  }
}

function run(
  [command = "", ...args]: string[],
  cwd: string,
  environment: Record<string, string>,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...environment } });
    let output = "";
    let stdout = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ status: code ?? -1, output, stdout });
    });
  });
}
