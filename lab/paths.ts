/** The files and directories of a lab. All of them are in one directory, which `down` removes. */
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "./problem.ts";

/** Name of the simulated cluster; kwokctl derives the kubeconfig context `kwok-swe-rl` from it. */
export const clusterName = "swe-rl";
export const contextName = `kwok-${clusterName}`;

export interface LabPaths {
  /** The project's directory, with symbolic links resolved. */
  readonly root: string;
  readonly name: string;
  readonly directory: string;
  /** Links to every tool; the first folder on the PATH that `lab env` prints. */
  readonly bin: string;
  readonly kubeconfig: string;
  /** Tools, ports and sizes of the lab. */
  readonly record: string;
  /** kwokctl's directory, created anew with each control plane. */
  readonly kwok: string;
  readonly cluster: string;
  /** What a new control plane keeps: etcd's data and the certificates. */
  readonly data: string;
  readonly logs: string;
  readonly pulumiHome: string;
  readonly pulumiState: string;
  readonly passphrase: string;
  /** Outside of the directory, since `down` removes the directory. */
  readonly lock: string;
}

/**
 * @param name From `SWE_RL_LAB`; tests and benches use labs of their own.
 * @throws {UsageError} If the name is not valid for a directory.
 */
export function labPaths(root: string, name: string): LabPaths {
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) {
    throw new UsageError(
      `SWE_RL_LAB="${name}": the name of a lab is up to 31 lower-case letters, digits and dashes, and begins with a letter or digit.`,
    );
  }
  const real = realpathSync(root);
  const directory = join(real, ".lab", name);
  if (directory.includes(":")) {
    throw new UsageError(
      `${directory} contains a colon. A PATH cannot contain it, so the lab's tools would not be found. Move the project to another directory.`,
    );
  }
  // kwokctl uses this folder of the HOME that it gets. KWOK_WORKDIR does not work: kwokctl cuts it at a space.
  const kwok = join(directory, ".kwok");
  return {
    root: real,
    name,
    directory,
    bin: join(directory, "bin"),
    kubeconfig: join(directory, "kubeconfig"),
    record: join(directory, "lab.json"),
    kwok,
    cluster: join(kwok, "clusters", clusterName),
    data: join(directory, "data"),
    logs: join(directory, "logs"),
    pulumiHome: join(directory, "pulumi", "home"),
    pulumiState: join(directory, "pulumi", "state"),
    passphrase: join(directory, "pulumi", "passphrase"),
    lock: join(real, ".lab", `${name}.lock`),
  };
}
