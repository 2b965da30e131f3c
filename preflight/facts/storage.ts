import type {
  V1PersistentVolume,
  V1PersistentVolumeClaim,
  V1PersistentVolumeSpec,
  V1StorageClass,
} from "@kubernetes/client-node";
import { runAnnotation } from "../../plan/names.ts";
import { placeOf } from "../../plan/storage/index.ts";
import type { Fact } from "./fact.ts";
import { amountOf } from "./quantity.ts";
import { type Client, ifThere, read } from "./client.ts";

export interface StorageClassFact {
  readonly name: string;
  readonly provisioner: string;
  readonly reclaimPolicy: string;
  readonly bindingMode: string;
  readonly isDefault: boolean;
}

export interface VolumeFact {
  readonly name: string;
  readonly storageClass: string;
  /** `Available`, `Bound`, `Released`, `Failed`. */
  readonly phase: string;
  readonly accessModes: readonly string[];
  readonly bytes: number;
  /** `namespace/name` of the claim that it is kept for. */
  readonly claim: string | undefined;
  /** Whether it waits for that very claim, which may be gone, and not for one of the same name. */
  readonly bound: boolean;
  readonly stack: string | undefined;
  /** Where its data lies, in the Plan's words; undefined for kinds that no stack makes. */
  readonly place: string | undefined;
  /** Directory below it that a run of this project writes. */
  readonly runDirectory: string | undefined;
  /** Why nobody can write to it, by its own description; undefined: that says nothing against it. */
  readonly readOnly: string | undefined;
}

export interface ClaimFact {
  readonly name: string;
  readonly storageClass: string | undefined;
  readonly phase: string;
  readonly accessModes: readonly string[];
  readonly bytes: number;
  readonly volume: string | undefined;
  readonly stack: string | undefined;
  /** Deleted by somebody; it goes when the last pod that mounts it does. */
  readonly terminating: boolean;
}

const defaultClass = "storageclass.kubernetes.io/is-default-class";

export function readStorageClasses(client: Client): Promise<Fact<readonly StorageClassFact[]>> {
  return read(async () => {
    const classes = await client.list<V1StorageClass>("/apis/storage.k8s.io/v1/storageclasses");
    return classes.map(({ metadata, provisioner, reclaimPolicy, volumeBindingMode }) => ({
      name: metadata?.name ?? "",
      provisioner,
      reclaimPolicy: reclaimPolicy ?? "Delete",
      bindingMode: volumeBindingMode ?? "Immediate",
      isDefault: metadata?.annotations?.[defaultClass] === "true",
    }));
  });
}

export function readVolumes(client: Client): Promise<Fact<readonly VolumeFact[]>> {
  return read(async () => {
    const volumes = await client.list<V1PersistentVolume>("/api/v1/persistentvolumes");
    return volumes.map(({ metadata, spec, status }) => {
      const claim = spec?.claimRef;
      return {
        name: metadata?.name ?? "",
        storageClass: spec?.storageClassName ?? "",
        phase: status?.phase ?? "Pending",
        accessModes: spec?.accessModes ?? [],
        bytes: amountOf(spec?.capacity?.["storage"]),
        claim: claim ? `${claim.namespace ?? ""}/${claim.name ?? ""}` : undefined,
        bound: claim?.uid !== undefined,
        stack: metadata?.labels?.["swe-rl.dev/stack"],
        place: spec && placeOfSource(spec),
        runDirectory: metadata?.annotations?.[runAnnotation],
        readOnly: spec && readOnlyBy(spec),
      };
    });
  });
}

function placeOfSource({ nfs, hostPath }: V1PersistentVolumeSpec): string | undefined {
  if (nfs) return placeOf({ kind: "nfs", server: nfs.server, path: nfs.path });
  return hostPath ? placeOf({ kind: "host_path", path: hostPath.path }) : undefined;
}

/** Every kind of volume that knows the word has it in the same place: `spec.nfs.readOnly`, `spec.csi.readOnly`, … */
function readOnlyBy(spec: V1PersistentVolumeSpec): string | undefined {
  const source = Object.entries(spec).find(
    ([, value]) => (value as { readOnly?: boolean } | null)?.readOnly === true,
  );
  if (source) return `${source[0]}.readOnly is true`;
  if (spec.mountOptions?.includes("ro")) return "its mountOptions have ro";
  const modes = spec.accessModes ?? [];
  return modes.length > 0 && modes.every((mode) => mode === "ReadOnlyMany")
    ? "it has only ReadOnlyMany"
    : undefined;
}

/** The claims of a namespace; none where it is not there. */
export function readClaims(client: Client, namespace: string): Promise<Fact<readonly ClaimFact[]>> {
  return read(async () => {
    const path = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
    const claims = (await ifThere(client.list<V1PersistentVolumeClaim>(path))) ?? [];
    return claims.map(({ metadata, spec, status }) => ({
      name: metadata?.name ?? "",
      storageClass: spec?.storageClassName,
      phase: status?.phase ?? "Pending",
      accessModes: spec?.accessModes ?? [],
      bytes: amountOf(spec?.resources?.requests?.["storage"]),
      volume: spec?.volumeName,
      stack: metadata?.labels?.["swe-rl.dev/stack"],
      terminating: metadata?.deletionTimestamp !== undefined,
    }));
  });
}
