import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { persistentVolumeOf, runAnnotation } from "../../plan/names.ts";
import type { Volume } from "../../plan/storage/index.ts";
import { type Identity, type Labels, deletedInBackground } from "../metadata.ts";
import { type Transform, transformed } from "../transform.ts";

export interface RunVolumeArgs {
  volume: Volume;
  /** Stack that the volume belongs to; prefix of the volume's cluster-wide name. */
  stack: string;
  /** The run's directory below a volume that it writes. */
  directory: string;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Provider that adopts what an earlier destroy of the stack has retained. */
  adoptWith: k8s.Provider;
  /** @default no change */
  transform?: {
    /** @default no change */
    claim?: Transform<k8s.core.v1.PersistentVolumeClaimArgs>;
  };
}

/**
 * A volume of the training pods. With removal `retain` the claim outlives `pulumi destroy`, and the next `pulumi up`
 * of the same stack binds it again.
 */
export class RunVolume extends pulumi.ComponentResource {
  /** undefined: the cluster makes the volume for the claim, or it exists already. */
  public readonly volume: k8s.core.v1.PersistentVolume | undefined;
  public readonly claim: k8s.core.v1.PersistentVolumeClaim;
  /** Name of the claim, for pods to mount. */
  public readonly claimName: pulumi.Output<string>;

  constructor(name: string, args: RunVolumeArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform = {}, ...inputs } = args;
    super("swe-rl:storage:RunVolume", name, inputs, opts);
    const { volume, adoptWith } = args;
    const identity = { labels: args.labels, app: volume.name, component: "storage" };
    const retention =
      volume.removal === "retain" ? { provider: adoptWith, retainOnDelete: true } : {};
    this.volume = this.#volume(name, identity, { args, retention });
    const claim = {
      name: `${name}-claim`,
      args: {
        metadata: deletedInBackground({ ...identity, namespace: args.namespace }, volume.name),
        spec: {
          accessModes: accessModesOf(volume),
          resources: { requests: { storage: volume.size } },
          ...bindingOf(args),
        },
      },
      opts: { parent: this, ...retention, dependsOn: this.volume ? [this.volume] : [] },
    };
    this.claim = new k8s.core.v1.PersistentVolumeClaim(
      ...transformed<k8s.core.v1.PersistentVolumeClaimArgs>(transform.claim, claim),
    );
    this.claimName = this.claim.metadata.name;
    this.registerOutputs({ claimName: this.claimName });
  }

  #volume(
    name: string,
    identity: Identity,
    { args, retention }: { args: RunVolumeArgs; retention: pulumi.CustomResourceOptions },
  ): k8s.core.v1.PersistentVolume | undefined {
    const { volume, stack, namespace } = args;
    const source = sourceOf(volume);
    if (!source) return undefined;
    return new k8s.core.v1.PersistentVolume(
      `${name}-volume`,
      {
        metadata: deletedInBackground(identity, persistentVolumeOf(stack, volume.name), {
          ...(volume.readOnly ? {} : { annotations: { [runAnnotation]: args.directory } }),
        }),
        spec: {
          ...source,
          capacity: { storage: volume.size },
          accessModes: accessModesOf(volume),
          persistentVolumeReclaimPolicy: "Retain",
          storageClassName: "",
          // Name and namespace, no uid: the volume waits for this claim and binds it again after destroy (kubernetes#135387).
          claimRef: { namespace, name: volume.name },
        },
      },
      { parent: this, ...retention },
    );
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

function bindingOf({ volume: { backing, name }, stack }: RunVolumeArgs): {
  storageClassName?: string;
  volumeName?: string;
} {
  switch (backing.kind) {
    case "claim":
      return backing.storage_class === undefined ? {} : { storageClassName: backing.storage_class };
    case "existing":
      return { storageClassName: "", volumeName: backing.volume };
    case "nfs":
    case "host_path":
      return { storageClassName: "", volumeName: persistentVolumeOf(stack, name) };
  }
}
