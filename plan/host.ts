/** The host of a stack, a cluster or one machine with Docker, as the Plan's decisions take it. */
import type { Settings } from "../config/load/load.ts";
import type { SettingPath } from "../config/load/problem.ts";
import type { DockerSite } from "../config/schema/docker-site.ts";
import type { KubernetesSite } from "../config/schema/site.ts";
import { type ImageBuilds, imageBuilds } from "./images/index.ts";

/** What both kinds of host have, and what only one has where the other has nothing to choose. */
export interface Host extends Pick<
  KubernetesSite,
  | "cpu_nodes"
  | "gpu_nodes"
  | "harbor"
  | "isolation"
  | "network"
  | "sandbox_nodes"
  | "storage"
  | "timeouts"
  | "tracking"
  | "volumes"
> {
  /** What the site names, and in place of a training image the one that its stacks build. */
  readonly images: Omit<KubernetesSite["images"], "build" | "training"> & {
    readonly training: string;
  };
  /** What stacks of this site can build; undefined: they build nothing. */
  readonly builds: ImageBuilds | undefined;
  /** Version of MutatingAdmissionPolicy that completes Harbor's pods. */
  readonly mutatingAdmission: KubernetesSite["cluster"]["mutating_admission"];
  /** Section of the site file that describes a GPU machine. */
  readonly machineSection: "gpu_nodes" | "machine";
  /** What only a Docker host has; undefined on a cluster. */
  readonly docker: DockerFacts | undefined;
}

export interface DockerFacts {
  /** The daemon, as Pulumi reaches it. */
  readonly host: string;
  readonly socket: string;
  readonly gpuRuntime: string;
  /** Files and sockets that one process of Ray may have open. */
  readonly openFiles: number;
  readonly subnets: DockerSubnets;
  /** Docker volumes that are there already, by input. */
  readonly volumes: { readonly models?: string | undefined; readonly data?: string | undefined };
}

/** The networks of a stack, as `172.30.244.0/22`. */
export interface DockerSubnets {
  readonly train: string;
  readonly sandbox: string;
}

/** What every decision begins with: the settings, with the host in place of the site. */
export interface Basis extends Omit<Settings, "site"> {
  readonly host: Host;
}

export function basisOf({ site, ...settings }: Settings): Basis {
  return { ...settings, host: hostOf({ site, ...settings }) };
}

export function hostOf({ site, recipeDigests }: Pick<Settings, "site" | "recipeDigests">): Host {
  const { build, training } = site.images;
  const builds = build && recipeDigests && imageBuilds(build, recipeDigests);
  const image = training ?? builds?.training.reference;
  if (image === undefined) throw new Error("the site has no training image, and no digest of one");
  return {
    ...(site.kind === "docker" ? hostOfDocker(site, image) : hostOfCluster(site, image)),
    builds,
  };
}

/** Where the site file says what a GPU machine has. */
export function machineSetting(host: Host, key: "memory" | "gpu_memory"): SettingPath {
  return ["site", host.machineSection, key];
}

type HostAlone = Omit<Host, "builds">;

function hostOfCluster(
  { kind: _, cluster, images: { build: _build, ...images }, ...site }: KubernetesSite,
  training: string,
): HostAlone {
  return {
    ...site,
    images: { ...images, training },
    mutatingAdmission: cluster.mutating_admission,
    machineSection: "gpu_nodes",
    docker: undefined,
  };
}

/** One machine: no node to choose, no pool, no image that only pods need. */
function hostOfDocker(site: DockerSite, training: string): HostAlone {
  const { machine, images, network, storage, volumes, docker } = site;
  const anyNode = { selector: {}, tolerations: [] };
  const pool = { kind: "existing" } as const;
  return {
    cpu_nodes: anyNode,
    gpu_nodes: {
      ...anyNode,
      pool,
      claim: [],
      resource: "nvidia.com/gpu",
      cpus: machine.cpus,
      memory: machine.memory,
      gpu_memory: machine.gpu_memory,
    },
    sandbox_nodes: { ...anyNode, pool, runtime_classes: { gvisor: "gvisor", kata: "kata" } },
    // The training image is on the host anyway; the gate's is for pods.
    images: { litellm: images.litellm, training, gate: training, pause: training },
    storage: {
      checkpoints: backingOf(storage.checkpoints),
      logs: backingOf(storage.logs),
      trials: backingOf(storage.trials),
    },
    volumes: {
      models: { ...inputOf(volumes.models), mount_path: volumes.models.mount_path },
      data: { ...inputOf(volumes.data), mount_path: volumes.data.mount_path },
    },
    network: {
      interface: network.interface,
      rollout_ports: network.rollout_ports,
      dns: { namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
      api_server_ports: [],
      monitoring_namespaces: [],
    },
    isolation: site.isolation,
    harbor: { inline_build: false },
    tracking: site.tracking,
    timeouts: site.timeouts,
    mutatingAdmission: "none",
    machineSection: "machine",
    docker: {
      host: docker.host,
      socket: docker.socket,
      gpuRuntime: machine.gpu_runtime,
      openFiles: machine.open_files,
      subnets: { train: network.train_subnet, sandbox: network.sandbox_subnet },
      volumes: { models: volumeOf(volumes.models), data: volumeOf(volumes.data) },
    },
  };
}

type Output = DockerSite["storage"]["checkpoints"];
type Input = DockerSite["volumes"]["models"];

/** A Docker volume is what a claim is on a cluster; `access_mode` says that one machine reads and writes it. */
function backingOf(backing: Output): Host["storage"]["checkpoints"] {
  return backing.kind === "volume"
    ? { kind: "claim", access_mode: "ReadWriteMany" }
    : { kind: "host_path", path: backing.path };
}

function inputOf(input: Input): Host["volumes"]["models"] {
  const { mount_path } = input;
  return input.kind === "volume"
    ? { kind: "claim", access_mode: "ReadWriteMany", size: "1Ti", mount_path }
    : { kind: "host_path", path: input.path, mount_path };
}

function volumeOf(input: Input): string | undefined {
  return input.kind === "volume" ? input.volume : undefined;
}
