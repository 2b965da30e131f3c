import type { Settings } from "../../config/load/load.ts";
import type { SettingPath } from "../../config/load/problem.ts";
import type { Site } from "../../config/schema/sites.ts";
import type { Names } from "../names.ts";
import type { Problems } from "../problems.ts";
import type { Topology } from "../run/topology.ts";

/** What holds a volume's data. */
export type Backing = Site["storage"]["checkpoints"];

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
}

export function planStorage(
  settings: Settings,
  { names, topology }: { names: Names; topology: Topology },
  problems: Problems,
): Storage {
  const { experiment, site } = settings;
  const project = experiment.trainer.project_dir;
  const output = (name: "checkpoints" | "logs" | "trials", folder: string): Volume => ({
    name,
    backing: site.storage[name],
    size: experiment.storage[name].size,
    mountPath: `${project}/${folder}`,
    readOnly: false,
    removal: experiment.storage[name].removal,
  });
  const input = (name: "models" | "data"): Volume => {
    const { mount_path: mountPath, ...backing } = site.volumes[name];
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
  checkMounts(volumes, problems);
  if (topology.gpuNodes > 1) checkShared(volumes, topology, problems);
  const { model, data: index } = experiment;
  checkInside({ path: ["model", "model_path"], value: model.model_path }, models, problems);
  checkInside({ path: ["data", "train_index"], value: index.train_index }, data, problems);
  checkInside({ path: ["data", "val_index"], value: index.val_index }, data, problems);
  const below = `${names.project}/${names.run}`;
  const trialsDir = experiment.experiment.trials_dir;
  return {
    volumes,
    directories: {
      project,
      checkpoints: `${checkpoints.mountPath}/${below}`,
      logs: logs.mountPath,
      trainingLog: `${logs.mountPath}/${names.run}.log`,
      vllmLog: `${logs.mountPath}/${names.run}_vllm.log`,
      trials: planTrialsDir(trialsDir, { project, trials, below }, problems),
    },
  };
}

/** Pods on several nodes write the same checkpoints and logs. */
function checkShared(volumes: readonly Volume[], topology: Topology, problems: Problems): void {
  for (const { name, backing, readOnly } of volumes) {
    if (readOnly) continue;
    if (backing.kind === "host_path") {
      problems.error(
        "shared-volume",
        ["site", "storage", name, "kind"],
        `is host_path, but tier ${topology.tier} has ${topology.gpuNodes} GPU nodes: each would write to a directory of its own. Use a volume that all of them see.`,
      );
    } else if (backing.kind !== "nfs" && backing.access_mode === "ReadWriteOnce") {
      problems.error(
        "shared-volume",
        ["site", "storage", name, "access_mode"],
        `is ReadWriteOnce, but tier ${topology.tier} has ${topology.gpuNodes} GPU nodes: the pods of the second would wait for the volume for ever. Use ReadWriteMany.`,
      );
    }
  }
}

function planTrialsDir(
  wanted: string,
  { project, trials, below }: { project: string; trials: Volume; below: string },
  problems: Problems,
): string {
  if (wanted === "") return `${trials.mountPath}/${below}`;
  const path = wanted.startsWith("/") ? wanted : `${project}/${wanted}`;
  checkInside({ path: ["experiment", "trials_dir"], value: path }, trials, problems);
  return path;
}

/** Reports a path that is not on the models volume. */
export function checkOnModels(
  setting: { path: SettingPath; value: string },
  { volumes: { models } }: Site,
  problems: Problems,
): void {
  checkInside(setting, { name: "models", mountPath: models.mount_path }, problems);
}

function checkInside(
  setting: { path: SettingPath; value: string },
  volume: Pick<Volume, "name" | "mountPath">,
  problems: Problems,
): void {
  if (isInside(setting.value, volume.mountPath)) return;
  problems.error(
    "C-07",
    setting.path,
    `is ${setting.value}, which is not on the ${volume.name} volume (mounted at ${volume.mountPath}): the pods would not see it, or lose it with the pod.`,
  );
}

function checkMounts(volumes: readonly Volume[], problems: Problems): void {
  volumes.forEach((volume, i) => {
    const other = volumes
      .slice(i + 1)
      .find(
        (candidate) =>
          isInside(candidate.mountPath, volume.mountPath) ||
          isInside(volume.mountPath, candidate.mountPath),
      );
    if (other) {
      problems.error(
        "nested-mounts",
        ["trainer", "project_dir"],
        `the volumes ${volume.name} (${volume.mountPath}) and ${other.name} (${other.mountPath}) are mounted one inside the other: one would hide the other.`,
      );
    }
  });
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory.replace(/\/$/, "")}/`);
}
