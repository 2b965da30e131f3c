/** Where a lab keeps its things. Everything lies inside one directory, which `down` removes. */
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "./problem.ts";

/** Name of the simulated cluster; kwokctl derives the kubeconfig context `kwok-swe-rl` from it. */
export const clusterName = "swe-rl";
export const contextName = `kwok-${clusterName}`;

export interface LabPaths {
  /** The project's directory, without symbolic links. */
  readonly root: string;
  readonly name: string;
  readonly directory: string;
  /** Links to every tool; first on the PATH of whoever works with the lab. */
  readonly bin: string;
  readonly kubeconfig: string;
  /** What the lab knows of itself: tools, ports, sizes. */
  readonly record: string;
  /** kwokctl's directory, made anew whenever the control plane is. */
  readonly kwok: string;
  readonly cluster: string;
  /** What must survive that: etcd's data and the certificates. */
  readonly data: string;
  readonly logs: string;
  readonly pulumiHome: string;
  readonly pulumiState: string;
  readonly passphrase: string;
  /** Beside the directory, since `down` removes that. */
  readonly lock: string;
}

/**
 * @param name From `SWE_RL_LAB`, so that tests can have a lab of their own.
 * @throws {UsageError} If the name cannot be the name of a directory.
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
      `${directory} has a colon, so it cannot be on a PATH, where the lab's tools must be. Move the project.`,
    );
  }
  // kwokctl's place in the home directory that it is given: it cuts KWOK_WORKDIR off at a space.
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
