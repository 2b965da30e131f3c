import { statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { attemptLabel, type Attempts, noAttempts } from "../../plan/attempts.ts";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Fact } from "../facts/fact.ts";
import { type Daemon, get, reach } from "./engine.ts";

/** What preflight knows of a Docker host. */
export interface DockerFacts {
  readonly server: Fact<{ readonly version: string; readonly api: string; readonly os: string }>;
  /** What tells it from every other daemon; it stays when the daemon starts again. */
  readonly identity: Fact<string>;
  readonly info: Fact<DaemonInfo>;
  /** Containers, networks and volumes that have a name of the stack. */
  readonly named: Fact<readonly NamedObject[]>;
  /** IPv4 networks of the daemon that are not the stack's. */
  readonly otherNetworks: Fact<readonly { readonly name: string; readonly subnet: string }[]>;
  /** Images of the Plan that the host does not have. */
  readonly absentImages: Fact<readonly string[]>;
  /** TCP ports of the Plan that are in use, and by what. */
  readonly takenPorts: Fact<readonly { readonly port: number; readonly by: string }[]>;
  /** Of the egress proof and the check of the policy. */
  readonly attempts: Fact<Attempts>;
  /** Bytes free where the daemon keeps volumes; only known of a daemon on this machine. */
  readonly freeBytes: Fact<number>;
}

export interface DaemonInfo {
  readonly runtimes: readonly string[];
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly dataRoot: string;
  readonly cgroup: { readonly version: string; readonly memory: boolean; readonly cpus: boolean };
  /** GPUs that the daemon itself lists (CDI, Engine 28 and newer); undefined if it lists none. */
  readonly gpus: number | undefined;
}

export interface NamedObject {
  readonly kind: "container" | "network" | "volume";
  readonly name: string;
  readonly stack: string | undefined;
}

/** What of the Plan is asked about. */
export interface Wanted {
  readonly host: DockerHost;
  readonly stack: string;
  readonly images: readonly string[];
  readonly ports: readonly number[];
}

/** Reads everything at once; without a daemon each read would report the same failure. */
export async function readDockerFacts(daemon: Daemon, wanted: Wanted): Promise<DockerFacts> {
  const version = await reach(daemon);
  if (!version.known) {
    return {
      server: version,
      identity: version,
      info: version,
      named: version,
      otherNetworks: version,
      absentImages: version,
      takenPorts: version,
      attempts: version,
      freeBytes: version,
    };
  }
  const { proof, rolloutCheck, policyCheck } = wanted.host.containers;
  const inspect = (name: string) => get(daemon, `/containers/${name}/json`);
  const [info, containers, networks, volumes, absentImages, ...checks] = await Promise.all([
    get(daemon, "/info"),
    get(daemon, "/containers/json?all=1"),
    get(daemon, "/networks"),
    get(daemon, "/volumes"),
    readAbsentImages(daemon, wanted.images),
    inspect(proof),
    inspect(rolloutCheck),
    inspect(policyCheck),
  ]);
  const known = map(info, describeInfo);
  return {
    server: map(version, (body) => ({
      version: textOf(body, "Version"),
      api: textOf(body, "ApiVersion"),
      os: textOf(body, "Os"),
    })),
    identity: map(info, (body) => textOf(body, "ID")),
    info: known,
    named: namedObjects({ containers, networks, volumes }, wanted.host),
    otherNetworks: map(networks, (body) => otherNetworks(body, wanted.stack)),
    absentImages,
    takenPorts: await readTakenPorts(daemon, containers, wanted),
    attempts: attemptsOf(checks, containers, wanted.host),
    freeBytes: await readFreeBytes(daemon, known),
  };
}

function describeInfo(body: unknown): DaemonInfo {
  const devices = listOf(body, "DiscoveredDevices").filter((device) =>
    /gpu/i.test(textOf(device, "ID")),
  );
  // One of them stands for all GPUs together.
  const gpus = devices.filter((device) => !textOf(device, "ID").endsWith("=all")).length;
  return {
    runtimes: Object.keys(recordOf(recordOf(body)["Runtimes"])),
    memoryBytes: Number(recordOf(body)["MemTotal"] ?? 0),
    cpus: Number(recordOf(body)["NCPU"] ?? 0),
    dataRoot: textOf(body, "DockerRootDir"),
    cgroup: {
      version: textOf(body, "CgroupVersion"),
      memory: recordOf(body)["MemoryLimit"] === true,
      cpus: recordOf(body)["CpuCfsQuota"] === true,
    },
    gpus: devices.length > 0 ? gpus : undefined,
  };
}

/** What failed is a container all the same, and would stay as it is; so would a proof whose firewall was stopped. */
function attemptsOf(
  [proof, rolloutCheck, policyCheck]: [Fact<unknown>, Fact<unknown>, Fact<unknown>],
  containers: Fact<unknown>,
  host: DockerHost,
): Fact<Attempts> {
  const firewall = containers.known
    ? asList(containers.value).find((body) => nameOf(body) === host.containers.firewall)
    : undefined;
  const isOpen = firewall !== undefined && textOf(firewall, "State") !== "running";
  const ofCheck = (check: Fact<unknown>) => (check.known ? attemptOf(check.value, false) : "");
  return map(proof, (proved) => ({
    ...noAttempts,
    proof: attemptOf(proved, isOpen),
    rolloutCheck: ofCheck(rolloutCheck),
    policyCheck: ofCheck(policyCheck),
  }));
}

function attemptOf(container: unknown, isVoid: boolean): string {
  if (container === undefined) return "";
  const { ExitCode: code } = recordOf(recordOf(container)["State"]);
  const labels = recordOf(recordOf(recordOf(container)["Config"])["Labels"]);
  const holds = code === 0 && !isVoid;
  return holds ? textOf(labels, attemptLabel) : textOf(container, "Id").slice(0, 12);
}

function namedObjects(
  read: { containers: Fact<unknown>; networks: Fact<unknown>; volumes: Fact<unknown> },
  host: DockerHost,
): Fact<readonly NamedObject[]> {
  const { containers, networks, volumes } = read;
  for (const fact of [containers, networks, volumes]) if (!fact.known) return fact;
  if (!containers.known || !networks.known || !volumes.known) return containers as never;
  const object =
    (kind: NamedObject["kind"]) =>
    (body: unknown): NamedObject => ({
      kind,
      name: nameOf(body),
      stack: stackOf(body),
    });
  const there = [
    ...asList(containers.value).map(object("container")),
    ...asList(networks.value).map(object("network")),
    ...listOf(volumes.value, "Volumes").map(object("volume")),
  ];
  const ours = new Set([
    ...Object.values(host.containers).map((name) => `container ${name}`),
    ...Object.values(host.networks).map(({ name }) => `network ${name}`),
    `volume ${host.agentRuntime.volume}`,
    ...host.mounts.flatMap((mount) =>
      "volume" in mount && mount.own ? [`volume ${mount.volume}`] : [],
    ),
  ]);
  return { known: true, value: there.filter(({ kind, name }) => ours.has(`${kind} ${name}`)) };
}

function otherNetworks(body: unknown, stack: string): { name: string; subnet: string }[] {
  return asList(body)
    .filter((network) => stackOf(network) !== stack)
    .flatMap((network) =>
      listOf(recordOf(network)["IPAM"], "Config")
        .map((config) => textOf(config, "Subnet"))
        .filter((subnet) => /^[\d.]+\/\d+$/.test(subnet))
        .map((subnet) => ({ name: nameOf(network), subnet })),
    );
}

async function readAbsentImages(
  daemon: Daemon,
  images: readonly string[],
): Promise<Fact<readonly string[]>> {
  const absent: string[] = [];
  for (const image of new Set(images)) {
    const fact = await get(daemon, `/images/${encodeURIComponent(image)}/json`);
    if (!fact.known) return fact;
    if (fact.value === undefined) absent.push(image);
  }
  return { known: true, value: absent };
}

/** Ports that containers publish; and on this machine also whatever else listens. */
async function readTakenPorts(
  { host }: Daemon,
  containers: Fact<unknown>,
  { ports, stack }: Wanted,
): Promise<DockerFacts["takenPorts"]> {
  if (!containers.known) return containers;
  const all = asList(containers.value);
  const publishing = (port: number, own: boolean) =>
    all.find(
      (body) =>
        (stackOf(body) === stack) === own &&
        listOf(body, "Ports").some((entry) => recordOf(entry)["PublicPort"] === port),
    );
  const taken: { port: number; by: string }[] = [];
  for (const port of ports) {
    const other = publishing(port, false);
    if (other !== undefined) taken.push({ port, by: `container ${nameOf(other)}` });
    else if (publishing(port, true) === undefined && host.startsWith("unix://")) {
      if (!(await isFree(port))) taken.push({ port, by: "a program of this machine" });
    }
  }
  return { known: true, value: taken };
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once("error", () => {
    resolve(false);
  });
  server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
    server.close(() => {
      resolve(true);
    });
  });
  return promise;
}

async function readFreeBytes({ host }: Daemon, info: Fact<DaemonInfo>): Promise<Fact<number>> {
  if (!info.known) return info;
  if (!host.startsWith("unix://")) {
    return { known: false, reason: "the daemon is on another machine, and does not tell" };
  }
  try {
    const { bavail, bsize } = await statfs(info.value.dataRoot);
    return { known: true, value: bavail * bsize };
  } catch (error) {
    return { known: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function map<A, B>(fact: Fact<A>, convert: (value: A) => B): Fact<B> {
  return fact.known ? { known: true, value: convert(fact.value) } : fact;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown, key: string): string {
  const inner = recordOf(value)[key];
  return typeof inner === "string" ? inner : "";
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

function listOf(value: unknown, key: string): readonly unknown[] {
  return asList(recordOf(value)[key]);
}

function nameOf(body: unknown): string {
  const [first] = listOf(body, "Names");
  return typeof first === "string" ? first.replace(/^\//, "") : textOf(body, "Name");
}

function stackOf(body: unknown): string | undefined {
  return textOf(recordOf(body)["Labels"], "swe-rl.dev/stack") || undefined;
}
