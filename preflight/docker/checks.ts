import type { Settings } from "../../config/load/load.ts";
import { overlap } from "../../plan/docker/subnet.ts";
import type { DockerHost } from "../../plan/docker/host.ts";
import type { Plan } from "../../plan/plan.ts";
import type { DockerPreflightRuleId } from "../../rules/old/catalogue.ts";
import { broken, type Finding, met, unknown } from "../../rules/finding.ts";
import type { DockerFacts } from "./facts.ts";

export interface DockerSubject {
  readonly settings: Settings;
  readonly plan: Plan;
  readonly host: DockerHost;
  readonly facts: DockerFacts;
}

type DockerRule = (subject: DockerSubject) => Finding[];

const GiB = 2 ** 30;

/** What the daemon itself, the system and the small containers take. */
const restOfHostBytes = 8 * GiB;

const leastFreeBytes = 50e9;

const checks: Readonly<Record<DockerPreflightRuleId, DockerRule>> = {
  "C-31": ({ facts: { server } }) => {
    const id = "C-31";
    if (!server.known) return [broken(id, { found: server.reason })];
    const { version, api } = server.value;
    if (isOlder(api, "1.41")) return [broken(id, { found: `Docker ${version}, API ${api}` })];
    return [met(id, `Docker ${version}`)];
  },

  "docker-linux": ({ facts: { server } }) => {
    const id = "docker-linux";
    if (!server.known) return [unknown(id, server.reason)];
    const { os } = server.value;
    return [os === "linux" ? met(id, os) : broken(id, { found: os || "not said" })];
  },

  "docker-gpu-runtime": ({ host, facts: { info } }) => {
    const id = "docker-gpu-runtime";
    if (!info.known) return [unknown(id, info.reason)];
    const { runtimes } = info.value;
    if (runtimes.includes(host.gpuRuntime)) return [met(id, host.gpuRuntime)];
    return [
      broken(id, {
        found: `runtimes ${runtimes.join(", ") || "none"}`,
        expected: `runtime ${host.gpuRuntime}`,
      }),
    ];
  },

  "docker-gpus": ({ plan, facts: { info } }) => {
    const id = "docker-gpus";
    const expected = `${plan.topology.gpusPerNode} GPUs`;
    if (!info.known) return [unknown(id, info.reason, expected)];
    const { gpus } = info.value;
    if (gpus === undefined) return [unknown(id, "the daemon lists no devices", expected)];
    if (gpus >= plan.topology.gpusPerNode) return [met(id, `${gpus} GPUs`)];
    return [broken(id, { found: `${gpus} GPUs`, expected })];
  },

  "docker-memory": ({ plan, facts: { info } }) => {
    const id = "docker-memory";
    const { head, groups } = plan.ray;
    const needed =
      head.memoryBytes +
      groups.reduce((sum, { memoryBytes }) => sum + memoryBytes, restOfHostBytes);
    const expected = `${inGiB(needed)} for Ray's containers and the system`;
    if (!info.known) return [unknown(id, info.reason, expected)];
    const found = inGiB(info.value.memoryBytes);
    return [info.value.memoryBytes >= needed ? met(id, found) : broken(id, { found, expected })];
  },

  "docker-names": ({ plan, facts: { named } }) => {
    const id = "docker-names";
    const { stack } = plan.names;
    if (!named.known) return [unknown(id, named.reason)];
    const foreign = named.value.filter((object) => object.stack !== stack);
    if (foreign.length === 0) return [met(id, `${named.value.length} there already`)];
    return foreign.map(({ kind, name }) =>
      broken(id, { found: `${kind} ${name} belongs to somebody else` }),
    );
  },

  "docker-images": ({ facts: { absentImages } }) => {
    const id = "docker-images";
    if (!absentImages.known) return [unknown(id, absentImages.reason)];
    const absent = absentImages.value;
    if (absent.length === 0) return [met(id, "all of them")];
    return [broken(id, { found: `not there: ${absent.join(", ")}` })];
  },

  "docker-ports": ({ facts: { takenPorts } }) => {
    const id = "docker-ports";
    if (!takenPorts.known) return [unknown(id, takenPorts.reason)];
    if (takenPorts.value.length === 0) return [met(id, "free")];
    return takenPorts.value.map(({ port, by }) =>
      broken(id, { found: `port ${port} is taken by ${by}` }),
    );
  },

  "docker-networks": ({ host, facts: { otherNetworks } }) => {
    const id = "docker-networks";
    if (!otherNetworks.known) return [unknown(id, otherNetworks.reason)];
    const own = Object.values(host.networks);
    const overlapping = otherNetworks.value.flatMap(({ name, subnet }) =>
      own
        .filter((network) => overlap(network.subnet, subnet))
        .map((network) => `${network.subnet} of ${network.name} overlaps ${subnet} of ${name}`),
    );
    if (overlapping.length === 0) return [met(id, "free")];
    return overlapping.map((found) => broken(id, { found }));
  },

  "docker-isolation": ({ facts: { server } }) => {
    const id = "docker-isolation";
    if (!server.known) return [unknown(id, server.reason)];
    const { version, os, api } = server.value;
    const supported = os === "linux" && !isOlder(api, "1.41");
    const found = `Docker ${version} on ${os}`;
    return [supported ? met(id, `${found}: inhibit_ipv4`) : broken(id, { found })];
  },

  "docker-cgroups": ({ facts: { info } }) => {
    const id = "docker-cgroups";
    if (!info.known) return [unknown(id, info.reason)];
    const { version, memory, cpus } = info.value.cgroup;
    const found = `cgroup v${version || "?"}`;
    if (memory && cpus) return [met(id, found)];
    const without = [...(memory ? [] : ["memory"]), ...(cpus ? [] : ["CPU"])].join(" and ");
    return [broken(id, { found: `${found} without limits for ${without}` })];
  },

  "docker-disk": ({ facts: { freeBytes } }) => {
    const id = "docker-disk";
    if (!freeBytes.known) return [unknown(id, freeBytes.reason)];
    const found = `${Math.floor(freeBytes.value / 1e9)} GB free`;
    return [freeBytes.value >= leastFreeBytes ? met(id, found) : broken(id, { found })];
  },
};

/** What every rule finds. Without a daemon each would only repeat that there is none. */
export function checkHost(subject: DockerSubject): Finding[] {
  if (!subject.facts.server.known) return checks["C-31"](subject);
  return Object.values(checks).flatMap((rule) => rule(subject));
}

/** What every rule finds where the host is not asked. */
export function checkHostUnasked(): Finding[] {
  return (Object.keys(checks) as DockerPreflightRuleId[]).map((id) =>
    unknown(id, "the Docker host was not asked"),
  );
}

function isOlder(version: string, than: string): boolean {
  const [a = [], b = []] = [version, than].map((text) => text.split(".").map(Number));
  const [major = 0, minor = 0] = a;
  const [leastMajor = 0, leastMinor = 0] = b;
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

function inGiB(bytes: number): string {
  return `${Math.floor(bytes / GiB)}Gi`;
}
