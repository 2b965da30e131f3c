import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { persistentVolumeOf } from "../../plan/names.ts";
import type { Volume } from "../../plan/storage/index.ts";
import { type Labels, leaf } from "../metadata.ts";

export interface RunVolumeArgs {
  volume: Volume;
  /** Stack that the volume belongs to; prefix of the volume's cluster-wide name. */
  stack: string;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Provider that adopts what an earlier life of the stack has kept. */
  adoptWith: k8s.Provider;
}

/**
 * A volume of the training pods. With removal `retain` the claim outlives `pulumi destroy`, and the next `pulumi up`
 * of the same stack binds it again.
 */
export class RunVolume extends pulumi.ComponentResource {
  /** Name of the claim, for pods to mount. */
  public readonly claimName: pulumi.Output<string>;

  constructor(name: string, args: RunVolumeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:storage:RunVolume", name, args, opts);
    const { volume } = args;
    const identity = { labels: args.labels, app: volume.name, component: "storage" };
    const retained = volume.removal === "retain";
    const options = {
      parent: this,
      ...(retained ? { provider: args.adoptWith, retainOnDelete: true } : {}),
    };
    const source = sourceOf(volume);
    const accessModes = accessModesOf(volume);
    const own = source && persistentVolumeOf(args.stack, volume.name);
    const persistentVolume =
      own === undefined
        ? undefined
        : new k8s.core.v1.PersistentVolume(
            `${name}-volume`,
            {
              metadata: leaf(identity, own),
              spec: {
                ...source,
                capacity: { storage: volume.size },
                accessModes,
                persistentVolumeReclaimPolicy: "Retain",
                storageClassName: "",
                // Name and namespace, no uid: the volume waits for this claim and binds it again after destroy (kubernetes#135387).
                claimRef: { namespace: args.namespace, name: volume.name },
              },
            },
            options,
          );
    const claim = new k8s.core.v1.PersistentVolumeClaim(
      `${name}-claim`,
      {
        metadata: leaf({ ...identity, namespace: args.namespace }, volume.name),
        spec: {
          accessModes,
          resources: { requests: { storage: volume.size } },
          ...bindingOf(volume, own),
        },
      },
      { ...options, dependsOn: persistentVolume ? [persistentVolume] : [] },
    );
    this.claimName = claim.metadata.name;
    this.registerOutputs({ claimName: this.claimName });
  }
}

type PersistentVolumeSource = Pick<
  k8s.types.input.core.v1.PersistentVolumeSpec,
  "nfs" | "hostPath"
>;

/** Where a volume of our own making points to; undefined for volumes that the stack does not make. */
function sourceOf({ backing, readOnly }: Volume): PersistentVolumeSource | undefined {
  switch (backing.kind) {
    case "nfs":
      return { nfs: { server: backing.server, path: backing.path, readOnly } };
    case "host_path":
      return { hostPath: { path: backing.path, type: "Directory" } };
    case "claim":
    case "existing":
      return undefined;
  }
}

function accessModesOf({ backing, readOnly }: Volume): string[] {
  if (backing.kind === "claim" || backing.kind === "existing") return [backing.access_mode];
  return [readOnly ? "ReadOnlyMany" : "ReadWriteMany"];
}

function bindingOf(
  { backing }: Volume,
  own: string | undefined,
): { storageClassName?: string; volumeName?: string } {
  switch (backing.kind) {
    case "claim":
      return backing.storage_class === undefined ? {} : { storageClassName: backing.storage_class };
    case "existing":
      return { storageClassName: "", volumeName: backing.volume };
    case "nfs":
    case "host_path":
      return { storageClassName: "", ...(own === undefined ? {} : { volumeName: own }) };
  }
}
