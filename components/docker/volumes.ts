import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost, DockerMount } from "../../plan/docker/index.ts";
import type { Storage } from "../../plan/storage/index.ts";
import type { Labels } from "../metadata.ts";
import { dockerLabels } from "./metadata.ts";

export interface VolumesArgs {
  mounts: DockerHost["mounts"];
  /** What becomes of each on destroy. */
  volumes: Storage["volumes"];
  labels: Labels;
}

type ContainerVolume = docker.types.input.ContainerVolume;

/**
 * The volumes of a run. Docker makes a volume only if none has its name, so that a stack that returns finds what it
 * left behind.
 */
export class Volumes extends pulumi.ComponentResource {
  /** Mounts by the name of what they hold. */
  public readonly mounts: Readonly<Record<string, ContainerVolume>>;

  constructor(name: string, args: VolumesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:Volumes", name, args, opts);
    const removal = new Map(args.volumes.map((volume) => [volume.name, volume.removal]));
    const labels = dockerLabels({ labels: args.labels, app: "volume", component: "storage" });
    const volumeName = (mount: Extract<DockerMount, { volume: string }>): pulumi.Input<string> =>
      mount.own
        ? new docker.Volume(
            `${name}-${mount.name}`,
            { name: mount.volume, labels },
            { parent: this, retainOnDelete: removal.get(mount.name) === "retain" },
          ).name
        : mount.volume;
    this.mounts = Object.fromEntries(
      args.mounts.map((mount) => {
        const { mountPath: containerPath, readOnly } = mount;
        const source =
          "path" in mount ? { hostPath: mount.path } : { volumeName: volumeName(mount) };
        return [mount.name, { containerPath, readOnly, ...source }];
      }),
    );
    this.registerOutputs();
  }
}
