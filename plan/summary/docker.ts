import type { DockerHost, DockerMount } from "../docker/index.ts";
import type { Plan } from "../plan.ts";

/** Who is in which network, and what is between them. */
export function dockerNetworkLines({
  containers,
  networks,
  addresses,
  host,
}: DockerHost): string[] {
  const { train, sandbox } = networks;
  return [
    `daemon ${host}`,
    `${train.name} ${train.subnet}: Ray, trainer, recorder, LiteLLM`,
    `${sandbox.name} ${sandbox.subnet}: sandboxes at ${sandbox.range}, LiteLLM at ${addresses.proxy}; internal, and without an address of the host`,
    `${containers.firewall}: sandboxes reach ${addresses.proxy} on the proxy's port, and neither each other nor the host`,
  ];
}

export function dockerSandboxLines({ sandboxes: { perPod, ...all } }: Plan): string[] {
  return [
    `${all.parallelTrials} trials at once`,
    `each: at most ${Math.round((perPod.memoryLimitBytes / 2 ** 30) * 10) / 10}Gi memory; stopped and removed when older than ${all.longestDeadlineSeconds} s`,
  ];
}

/** Rows of name and fate. */
export function dockerVolumeRows({ dockerHost, storage }: Plan): [string, string][] {
  const removal = new Map(storage.volumes.map((volume) => [volume.name, volume.removal]));
  return (dockerHost?.mounts ?? []).map((mount) => [
    mount.name,
    `${place(mount)} at ${mount.mountPath}, ${fate(mount, removal.get(mount.name) === "retain")}`,
  ]);
}

function place(mount: DockerMount): string {
  return "volume" in mount ? `volume ${mount.volume}` : `directory ${mount.path} of the host`;
}

function fate(mount: DockerMount, retained: boolean): string {
  if (mount.readOnly) return "read-only";
  if (!("volume" in mount) || !mount.own || retained) return "kept on destroy";
  return "removed on destroy";
}
