import type { Basis, Host } from "../host.ts";
import { type Names, runDirectory } from "../names.ts";

/** What holds a volume's data. */
export type Backing = Host["storage"]["checkpoints"];

/** One volume of the training namespace, and where every Ray pod sees it. */
export interface Volume {
  readonly name: string;
  readonly backing: Backing;
  /** Capacity, as Kubernetes writes it. */
  readonly size: string;
  readonly mountPath: string;
  readonly readOnly: boolean;
  /**
   * Whether `pulumi destroy` leaves the claim. Removing the claim of an `nfs`, `host_path` or `existing` volume
   * leaves the data all the same.
   */
  readonly removal: "retain" | "remove";
}

/** Whether the stack makes the PersistentVolume itself. */
export function isOwn({ backing }: Volume): boolean {
  return backing.kind === "nfs" || backing.kind === "host_path";
}

/** Where the data of a volume lies that several claims can point to; undefined: it is its claim's alone. */
export function placeOf(backing: Backing): string | undefined {
  switch (backing.kind) {
    case "nfs":
      return `nfs ${backing.server}:${backing.path}`;
    case "host_path":
      return `host_path ${backing.path}`;
    case "claim":
    case "existing":
      return undefined;
  }
}

/** Directories of a run inside the training pods. */
export interface Directories {
  readonly project: string;
  readonly checkpoints: string;
  readonly logs: string;
  readonly trainingLog: string;
  readonly vllmLog: string;
  readonly trials: string;
}

export interface Storage {
  readonly volumes: readonly Volume[];
  readonly directories: Directories;
  /** Group that owns what is in the volumes, where the image's user is not root; undefined: whatever it is. */
  readonly group: number | undefined;
}

export function planStorage(settings: Basis, names: Names): Storage {
  const { experiment, host } = settings;
  const project = experiment.trainer.project_dir;
  const output = (name: "checkpoints" | "logs" | "trials", folder: string): Volume => ({
    name,
    backing: host.storage[name],
    size: experiment.storage[name].size,
    mountPath: `${project}/${folder}`,
    readOnly: false,
    removal: experiment.storage[name].removal,
  });
  const input = (name: "models" | "data"): Volume => {
    const { mount_path: mountPath, ...backing } = host.volumes[name];
    const size = backing.kind === "claim" ? backing.size : "1Ti";
    // A claim that the user filled must not vanish; the other kinds only point to data elsewhere.
    const removal = backing.kind === "claim" ? "retain" : "remove";
    return { name, backing, size, mountPath, readOnly: true, removal };
  };
  const [checkpoints, logs, trials] = [
    output("checkpoints", "checkpoints"),
    output("logs", "logs"),
    output("trials", "harbor_trials"),
  ];
  const [models, data] = [input("models"), input("data")];
  const volumes = [checkpoints, logs, trials, models, data];
  const below = runDirectory(names);
  const trialsDir = experiment.experiment.trials_dir;
  return {
    volumes,
    group: host.storage.group,
    directories: {
      project,
      // verl would go on from the newest checkpoint, and those of a rehearsal have no weights.
      checkpoints: `${checkpoints.mountPath}/${below}${experiment.rehearsal ? "/rehearsal" : ""}`,
      logs: logs.mountPath,
      trainingLog: `${logs.mountPath}/${names.run}.log`,
      vllmLog: `${logs.mountPath}/${names.run}_vllm.log`,
      trials: trialsDirectory(trialsDir, { project, trials, below }),
    },
  };
}

function trialsDirectory(
  wanted: string,
  { project, trials, below }: { project: string; trials: Volume; below: string },
): string {
  if (wanted === "") return `${trials.mountPath}/${below}`;
  return wanted.startsWith("/") ? wanted : `${project}/${wanted}`;
}
