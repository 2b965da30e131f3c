/** Volumes for the claims of the stacks, created in advance because the lab has no provisioner. */
import { pause } from "../interrupt.ts";
import { formatCount } from "../progress.ts";
import type { Api, KubernetesObject } from "./api.ts";

/** The same as in `config/sites/lab.yaml`. */
export const storageClassName = "swe-rl-lab";

/** Enough for twenty stacks with a claim of each size. A claim gets the smallest volume that fits. */
const sizes = ["200Gi", "1Ti", "5Ti"];
const volumesPerSize = 20;

export interface VolumeObject extends KubernetesObject {
  readonly spec?: { readonly hostPath?: { readonly path: string } };
  readonly status?: { readonly phase?: string };
}

const volumes = "/api/v1/persistentvolumes";
const storageClasses = "/apis/storage.k8s.io/v1/storageclasses";

export function volumeObjects(): VolumeObject[] {
  return sizes.flatMap((storage) =>
    Array.from({ length: volumesPerSize }, (_, i) => {
      const name = `lab-${storage.toLowerCase()}-${String(i).padStart(2, "0")}`;
      return {
        apiVersion: "v1",
        kind: "PersistentVolume",
        metadata: { name },
        spec: {
          storageClassName,
          capacity: { storage },
          accessModes: ["ReadWriteOnce", "ReadWriteMany"],
          persistentVolumeReclaimPolicy: "Retain",
          // Simulated nodes mount nothing. On a real node this is a folder of the lab.
          hostPath: { path: `/run/swe-rl-lab/${name}`, type: "DirectoryOrCreate" },
        },
      };
    }),
  );
}

const storageClass = {
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: { name: storageClassName },
  provisioner: "kubernetes.io/no-provisioner",
  reclaimPolicy: "Retain",
  volumeBindingMode: "Immediate",
};

/**
 * Creates missing volumes, and makes released volumes available again: they contain no data.
 * @returns Descriptions of the changes.
 */
export async function provideVolumes(api: Api): Promise<string[]> {
  await api.apply(`${storageClasses}/${storageClassName}`, storageClass);
  const existing = await api.list<VolumeObject>(volumes);
  const ours = volumeObjects();
  // The path of a volume cannot change.
  const outdated = existing.filter(
    (volume) =>
      volume.status?.phase !== "Bound" &&
      ours.some(
        ({ metadata, spec }) =>
          metadata.name === volume.metadata.name &&
          spec?.hostPath?.path !== volume.spec?.hostPath?.path,
      ),
  );
  await Promise.all(
    outdated.map(async ({ metadata }) => {
      const path = `${volumes}/${metadata.name}`;
      await api.delete(path);
      while (await api.get(path)) await pause(50);
    }),
  );
  const isThere = (name: string) =>
    existing.some((volume) => volume.metadata.name === name && !outdated.includes(volume));
  const missing = ours.filter(({ metadata }) => !isThere(metadata.name));
  const released = existing.filter(
    (volume) =>
      volume.status?.phase === "Released" &&
      !outdated.includes(volume) &&
      ours.some(({ metadata }) => metadata.name === volume.metadata.name),
  );
  await Promise.all(
    missing.map((volume) => api.apply(`${volumes}/${volume.metadata.name}`, volume)),
  );
  await Promise.all(
    released.map(({ metadata }) =>
      api.patch(`${volumes}/${metadata.name}`, { spec: { claimRef: null } }),
    ),
  );
  return [
    ...(missing.length ? [formatCount(missing.length, "volume")] : []),
    ...(released.length
      ? [`${formatCount(released.length, "released volume")} made available again`]
      : []),
  ];
}
