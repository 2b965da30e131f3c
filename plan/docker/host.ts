import { type FixedAddresses, fixedAddresses, addressIn, upperHalf } from "../network/index.ts";
import type { Scaffold } from "../run/index.ts";
import type { Storage } from "../storage/index.ts";
import { digest } from "../digest.ts";
import type { Basis, DockerFacts } from "../host.ts";
import type { Names } from "../names.ts";

/** A mount of a training container: a Docker volume, or a directory of the host. */
export type DockerMount = {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly: boolean;
} & (
  | {
      readonly volume: string;
      /** Whether the volume is the stack's own, which makes it and leaves it on destroy. */
      readonly own: boolean;
    }
  | { readonly path: string }
);

/** What a stack makes on a Docker host instead of on a cluster. */
export interface DockerHost {
  /** The daemon, as Pulumi reaches it. */
  readonly host: string;
  readonly socket: string;
  readonly gpuRuntime: string;
  readonly openFiles: number;
  readonly networks: {
    readonly train: DockerNetwork;
    /** Without a way out, and without an address of the host. */
    readonly sandbox: DockerNetwork;
  };
  readonly addresses: FixedAddresses;
  /** nftables' table that keeps the sandboxes apart. */
  readonly firewallTable: string;
  readonly containers: DockerContainers;
  readonly mounts: readonly DockerMount[];
  /** Volume with the agent's runtime, unpacked once from its image. */
  readonly agentRuntime: { readonly volume: string; readonly image: string; readonly path: string };
}

export interface DockerNetwork {
  readonly name: string;
  readonly subnet: string;
  /** The host's address there, where it has one; named, since it would be the first of the range otherwise. */
  readonly gateway: string;
  /** Part of it from which containers get an address that ask for none. */
  readonly range: string;
}

/** Names of the containers, each of them one of its kind. */
export interface DockerContainers {
  readonly head: string;
  readonly worker: string;
  readonly trainer: string;
  readonly recorder: string;
  readonly proxy: string;
  readonly reaper: string;
  readonly rolloutCheck: string;
  readonly policyCheck: string;
  readonly agentRuntime: string;
  readonly firewall: string;
  /** Listeners of the egress proof: in the place of the proxy, of Ray, and in another sandbox's. */
  readonly proofAllowedTarget: string;
  readonly proofRay: string;
  readonly proofPeer: string;
  readonly proof: string;
}

/** undefined where the site is a cluster. */
export function planDockerHost(
  { host }: Basis,
  { names, scaffold, storage }: { names: Names; scaffold: Scaffold; storage: Storage },
): DockerHost | undefined {
  const { docker } = host;
  if (!docker) return undefined;
  const { stack, namespaces } = names;
  const of = (part: string) => `${stack}-${part}`;
  return {
    host: docker.host,
    socket: docker.socket,
    gpuRuntime: docker.gpuRuntime,
    openFiles: docker.openFiles,
    networks: {
      train: network(namespaces.train, docker.subnets.train),
      sandbox: network(namespaces.sandbox, docker.subnets.sandbox),
    },
    addresses: fixedAddresses(docker.subnets),
    firewallTable: `swe-rl-${stack}`,
    containers: {
      head: of("ray-head"),
      worker: of("ray-worker"),
      trainer: of("trainer"),
      recorder: of("recorder"),
      proxy: of("litellm"),
      rolloutCheck: of("rollout-check"),
      policyCheck: of("policy-check"),
      reaper: of("reaper"),
      agentRuntime: of("agent-runtime"),
      firewall: of("sandbox-firewall"),
      proofAllowedTarget: of("proof-door"),
      proofRay: of("proof-ray"),
      proofPeer: of("proof-peer"),
      proof: of("egress-proof"),
    },
    mounts: storage.volumes.map((volume) => mountOf(volume, docker, stack)),
    agentRuntime: {
      // Another image is another volume: what is in one is never changed under running sandboxes.
      volume: of(`agent-runtime-${digest(scaffold.runtimeImage, 8)}`),
      image: scaffold.runtimeImage,
      path: scaffold.mountPath,
    },
  };
}

function network(name: string, subnet: string): DockerNetwork {
  return { name, subnet, gateway: addressIn(subnet, 1), range: upperHalf(subnet) };
}

function mountOf(
  { name, backing, mountPath, readOnly }: Storage["volumes"][number],
  docker: DockerFacts,
  stack: string,
): DockerMount {
  const seen = { name, mountPath, readOnly };
  if (backing.kind === "host_path") return { ...seen, path: backing.path };
  const given = name === "models" || name === "data" ? docker.volumes[name] : undefined;
  return { ...seen, volume: given ?? `${stack}-${name}`, own: given === undefined };
}
