/** Rules about volumes and what must lie on them. */
import type { SettingPath } from "../config/load/problem.ts";
import type { Volume } from "../plan/storage/index.ts";
import { type Decided, defineRule, noPlan } from "./rule.ts";

export const onVolumes = defineRule({
  id: "C-07",
  title: "model, indexes and trials lie on the volumes that the pods mount",
  severity: "fatal",
  consequence: "the pods would not see it, or lose it with the pod",
  remedy: "name a path below the volume's mount path",
  source: "docs/decisions.md#c-07",
  *check(decided) {
    for (const { path, value, on } of placed(decided)) {
      const volume = decided.plan.storage.volumes.find(({ name }) => name === on);
      if (!volume || isInside(value, volume.mountPath)) continue;
      yield {
        path,
        found: `is ${value}, which is not on the ${on} volume (mounted at ${volume.mountPath})`,
      };
    }
  },
});

/** Settings that name something on a volume. */
function placed({ settings: { experiment }, plan: { storage } }: Decided): readonly {
  readonly path: SettingPath;
  readonly value: string;
  readonly on: string;
}[] {
  const { model, data, serving } = experiment;
  return [
    { path: ["model", "model_path"], value: model.model_path, on: "models" },
    { path: ["data", "train_index"], value: data.train_index, on: "data" },
    { path: ["data", "val_index"], value: data.val_index, on: "data" },
    { path: ["experiment", "trials_dir"], value: storage.directories.trials, on: "trials" },
    ...serving.map(({ model_path: value }, i) => ({
      path: ["serving", i, "model_path"],
      value,
      on: "models",
    })),
  ];
}

/** What only a pod with the volumes and the image can tell. */
export const inputs = defineRule({
  id: "inputs",
  title:
    "model, indexes and agent-loop configuration are there, and are what the run takes them for",
  severity: "fatal",
  consequence:
    "the run fails as it loads them, up to half an hour after the start, or measures on what it trains on",
  remedy:
    "look at them from a pod that mounts the volumes; when they are right, waive this rule with what you saw",
  source: "docs/decisions.md#c-07",
  *check({ settings: { experiment }, plan: { trainer, dockerHost } }) {
    const { data, model } = experiment;
    // The update itself asks such a pod before Ray starts.
    if (trainer.check && !dockerHost) return;
    yield {
      severity: "unknown",
      path: ["data", "train_index"],
      found: `is ${data.train_index}; only a pod can tell whether it and ${data.val_index} are there, are Parquet or JSON lines with the tasks' columns, and differ, whether ${model.model_path} holds the model's weights, and whether the image has ${trainer.agentLoopConfig}`,
    };
  },
});

export const sharedVolumes = defineRule({
  id: "shared-volume",
  title: "pods on several nodes share the volumes that they write",
  severity: "fatal",
  consequence: "each node would write to a directory of its own, or wait for the volume for ever",
  remedy: "a ReadWriteMany claim, or nfs",
  source: "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes",
  *check({ plan: { storage, topology } }) {
    const { gpuNodes } = topology;
    if (gpuNodes === 1) return;
    for (const { name, backing, readOnly } of storage.volumes) {
      if (readOnly) continue;
      if (backing.kind === "host_path") {
        yield {
          path: ["site", "storage", name, "kind"],
          found: `is host_path, but the stack has ${gpuNodes} GPU nodes`,
          consequence: "each would write to a directory of its own",
          remedy: "use a volume that all of them see",
        };
      } else if (backing.kind !== "nfs" && backing.access_mode === "ReadWriteOnce") {
        yield {
          path: ["site", "storage", name, "access_mode"],
          found: `is ReadWriteOnce, but the stack has ${gpuNodes} GPU nodes`,
          consequence: "the pods of the second would wait for the volume for ever",
          remedy: "use ReadWriteMany",
        };
      }
    }
  },
});

export const nestedMounts = defineRule({
  id: "nested-mounts",
  title: "no volume is mounted inside another",
  severity: "fatal",
  consequence: "one would hide the other",
  remedy: "change trainer.project_dir or the site's mount paths",
  source: "https://kubernetes.io/docs/concepts/storage/volumes/",
  unwaivable: noPlan,
  *check({ plan: { storage } }) {
    for (const [i, volume] of storage.volumes.entries()) {
      const other = storage.volumes.slice(i + 1).find((one) => nest(one, volume));
      if (!other) continue;
      yield {
        path: ["trainer", "project_dir"],
        found: `the volumes ${volume.name} (${volume.mountPath}) and ${other.name} (${other.mountPath}) are mounted one inside the other`,
      };
    }
  },
});

function nest(a: Volume, b: Volume): boolean {
  return isInside(a.mountPath, b.mountPath) || isInside(b.mountPath, a.mountPath);
}

function isInside(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory.replace(/\/$/, "")}/`);
}
