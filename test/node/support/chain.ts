/** A lab with one real node, the images of a rehearsal, its inputs, and stacks on it. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findNode } from "../../../lab/node/bring-up.ts";
import { type Finished, run } from "../../../lab/run.ts";
import { ProjectCopy } from "../../support/pulumi-project.ts";
import { projectRoot } from "../../support/settings.ts";
import { trainingEnvironment } from "../../training/environment.ts";
import { images, provideChainImages } from "./images.ts";
import { demandLab, kubectl, paths } from "./lab.ts";

/** Made once for all stacks of a test. */
export interface Site {
  readonly project: ProjectCopy;
  close(): void;
}

/** Brings the node up, with images and inputs. */
export async function openSite(): Promise<Site> {
  demandLab("down");
  demandLab("up", "--node", "real");
  const pid = (await findNode(paths)).parts.get("namespaces")?.pid;
  if (pid === undefined) throw new Error("the node has no namespaces");
  await provideChainImages(paths, pid);
  const inputs = await makeInputs();
  const environment = JSON.parse(demandLab("env", "--json")) as Record<string, string>;
  const project = new ProjectCopy("node", environment);
  project.write("config/sites/real.yaml", siteFile(inputs));
  return {
    project,
    close() {
      project.dispose();
      rmSync(inputs, { recursive: true, force: true });
      demandLab("down");
    },
  };
}

/** A model's folder without weights, our tasks, and their indexes. */
async function makeInputs(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "swe-rl-inputs-"));
  const { python } = await trainingEnvironment();
  const program = (...args: string[]) => {
    const { status, stderr } = spawnSync(python, ["-m", ...args], {
      encoding: "utf8",
      env: { ...process.env, PYTHONPATH: join(projectRoot, "training/src") },
    });
    if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
  };
  program("swe_rl_training.rehearsal.model", join(folder, "models/rehearsal"));
  const data = join(folder, "data");
  mkdirSync(join(data, "harbor_indexes"), { recursive: true });
  const tasks = join(projectRoot, "training/tasks");
  cpSync(tasks, join(data, "tasks"), { recursive: true });
  cpSync(join(tasks, "sum-of-digits"), join(data, "validation/sum-of-digits"), { recursive: true });
  for (const [name, source, split] of [
    ["train", "tasks", "train"],
    ["val", "validation", "val"],
  ] as const) {
    const index = join(data, `harbor_indexes/${name}.parquet`);
    const options = ["-o", index, "--split", split, "--skip-images"];
    program("swe_rl_training.index", join(data, source), ...options);
  }
  return folder;
}

function siteFile(inputs: string): string {
  const slices = JSON.parse(
    kubectl(["get", "endpointslices", "-n", "default", "kubernetes", "-o", "json"]),
  ) as { ports: { port: number }[] };
  return template("site")
    .replaceAll("INPUTS", inputs)
    .replace("TRAINING_IMAGE", images.training)
    .replace("API_SERVER_PORT", String(slices.ports[0]?.port));
}

/** An experiment of the tests, with further settings behind those of the file. */
export function experiment(tier: string, more = ""): string {
  return `extends: ${tier}-stock.yaml\n${template("experiment")}${more}`;
}

function template(name: string): string {
  return readFileSync(join(import.meta.dirname, "project", `${name}.yaml`), "utf8");
}

export const update = ["up", "--yes", "--skip-preview", "--suppress-progress"] as const;

/** A stack on the site. */
export class Stack {
  readonly name: string;
  readonly #project: ProjectCopy;

  constructor({ project }: Site, name: string) {
    this.name = name;
    this.#project = project;
  }

  /** Writes the experiment's file. */
  configure(text: string): void {
    this.#project.write(`config/${this.name}.yaml`, text);
  }

  /** @returns What it printed. @throws {Error} If it fails. */
  async pulumi(...args: string[]): Promise<string> {
    const { status, output } = await this.try(...args);
    if (status !== 0) throw new Error(`pulumi ${args.join(" ")}: ${output}`);
    return output;
  }

  try(...args: string[]) {
    return this.#project.pulumi(...args, "--stack", this.name);
  }

  async create(): Promise<void> {
    await this.#project.pulumi("stack", "init", this.name);
    await this.pulumi("config", "set", "swe-rl:site", "real");
  }

  up(): Promise<string> {
    return this.pulumi(...update);
  }

  destroy(): Promise<string> {
    return this.pulumi("destroy", "--yes", "--skip-preview", "--suppress-progress");
  }

  /** Proves once more that its sandboxes are closed. */
  prove(): Promise<Finished> {
    const options = ["--stack", this.name, "--root", this.#project.root];
    const env = { ...process.env, KUBECONFIG: paths.kubeconfig };
    return run(process.execPath, [join(projectRoot, "cli/prove.ts"), ...options], { env });
  }

  /** What the run's log has, read where the recorder or the head mounts it. */
  log(): string {
    return this.inHead(`cat /workspace/logs/${this.name}.log`);
  }

  /** Waits until the run's log has a text. @throws {Error} If it does not come in time. */
  async logged(text: RegExp, seconds: number): Promise<void> {
    const until = Date.now() + seconds * 1000;
    while (!text.test(this.log())) {
      if (Date.now() > until) throw new Error(`no ${String(text)} in:\n${this.log().slice(-2000)}`);
      await sleep(1000);
    }
  }

  /** Runs a shell command in the head, which has every volume of the run. */
  inHead(command: string): string {
    const pod = kubectl([
      ...["get", "pods", "-n", `${this.name}-train`, "-l", "ray.io/node-type=head"],
      ...["-o", "jsonpath={.items[0].metadata.name}"],
    ]);
    return kubectl([
      ...["exec", "-n", `${this.name}-train`, pod, "-c", "ray-head", "--", "sh", "-c", command],
    ]);
  }

  /** Waits until the trainer's Job has ended. @returns `Complete`, or what else it came to. */
  async ended(seconds: number): Promise<string> {
    const until = Date.now() + seconds * 1000;
    for (;;) {
      const job = JSON.parse(
        kubectl(["get", "job", "trainer", "-n", `${this.name}-train`, "-o", "json"]),
      ) as { status: { conditions?: { type: string; status: string }[] } };
      const end = job.status.conditions?.find(
        ({ type, status }) => /^(Complete|Failed)$/.test(type) && status === "True",
      );
      if (end) return end.type;
      if (Date.now() > until) return `still running:\n${this.log().slice(-2000)}`;
      await sleep(1000);
    }
  }
}
