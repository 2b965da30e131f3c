/** Rules about what a Docker daemon says of itself and its host. */
import { overlap } from "../../plan/network/index.ts";
import { defineDockerRule, met, notRead } from "../rule.ts";

const GiB = 2 ** 30;

/** What the daemon itself, the system and the small containers take. */
const restOfHostBytes = 8 * GiB;

const leastFreeBytes = 50e9;

export const daemonReachable = defineDockerRule({
  id: "C-31",
  title: "a Docker daemon that answers within 2 seconds, of API 1.41 (20.10) or newer",
  severity: "fatal",
  consequence: "nothing can be created",
  remedy: "check docker.host in the site file, and: docker --host HOST info",
  source: "docs/decisions.md#c-31",
  unwaivable: "without a daemon there is nothing to provision",
  check: ({ facts: { server } }) => {
    if (!server.known) return [{ found: server.reason }];
    const { version, api } = server.value;
    if (isOlder(api, "1.41")) return [{ found: `Docker ${version}, API ${api}` }];
    return [met(`Docker ${version}`)];
  },
});

export const linuxHost = defineDockerRule({
  id: "docker-linux",
  title: "a daemon on Linux",
  severity: "fatal",
  consequence: "networks would not be closed, and there are no GPUs",
  remedy: "choose another host",
  source:
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
  check: ({ facts: { server } }) => {
    if (!server.known) return [notRead(server.reason)];
    const { os } = server.value;
    return [os === "linux" ? met(os) : { found: os || "not said" }];
  },
});

export const gpuRuntime = defineDockerRule({
  id: "docker-gpu-runtime",
  title: "the GPU runtime, known to the daemon",
  severity: "fatal",
  consequence: "the training container could not start",
  remedy:
    "install the NVIDIA Container Toolkit: nvidia-ctk runtime configure --runtime=docker && systemctl restart docker",
  source:
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
  check: ({ docker, facts: { info } }) => {
    if (!info.known) return [notRead(info.reason)];
    const { runtimes } = info.value;
    if (runtimes.includes(docker.gpuRuntime)) return [met(docker.gpuRuntime)];
    return [
      {
        found: `runtimes ${runtimes.join(", ") || "none"}`,
        expected: `runtime ${docker.gpuRuntime}`,
      },
    ];
  },
});

export const hostGpus = defineDockerRule({
  id: "docker-gpus",
  title: "as many GPUs as the experiment takes",
  severity: "fatal",
  consequence: "Ray would wait for GPUs for ever",
  remedy: "set infrastructure.ngpus_per_node to what nvidia-smi -L counts",
  source: "docs/decisions.md#c-03",
  check: ({ plan, facts: { info } }) => {
    const expected = `${plan.topology.gpusPerNode} GPUs`;
    if (!info.known) return [notRead(info.reason, expected)];
    const { gpus } = info.value;
    if (gpus === undefined) return [notRead("the daemon lists no devices", expected)];
    if (gpus >= plan.topology.gpusPerNode) return [met(`${gpus} GPUs`)];
    return [{ found: `${gpus} GPUs`, expected }];
  },
});

export const hostMemory = defineDockerRule({
  id: "docker-memory",
  title: "as much memory as the containers may take",
  severity: "fatal",
  consequence: "the kernel would kill processes",
  remedy: "lower machine.memory in the site file",
  source: "https://docs.docker.com/reference/cli/docker/system/info/",
  check: ({ plan, facts: { info } }) => {
    const { head, groups } = plan.ray;
    const needed =
      head.memoryBytes +
      groups.reduce((sum, { memoryBytes }) => sum + memoryBytes, restOfHostBytes);
    const expected = `${inGiB(needed)} for Ray's containers and the system`;
    if (!info.known) return [notRead(info.reason, expected)];
    const found = inGiB(info.value.memoryBytes);
    return [info.value.memoryBytes >= needed ? met(found) : { found, expected }];
  },
});

export const objectNames = defineDockerRule({
  id: "docker-names",
  title: "no container, network or volume of the stack's names, or those of this stack",
  severity: "fatal",
  consequence: "the stack would fail half-way, or take over what is not its own",
  remedy: "choose another stack name: pulumi stack init NAME",
  source: "docs/decisions.md#c-44",
  unwaivable: "destroy would delete what is not the stack's",
  check: ({ plan, facts: { named } }) => {
    const { stack } = plan.names;
    if (!named.known) return [notRead(named.reason)];
    const foreign = named.value.filter((object) => object.stack !== stack);
    if (foreign.length === 0) return [met(`${named.value.length} there already`)];
    return foreign.map(({ kind, name }) => ({ found: `${kind} ${name} belongs to another owner` }));
  },
});

export const imagesThere = defineDockerRule({
  id: "docker-images",
  title: "the images, on the host already",
  severity: "warn",
  consequence: "the daemon pulls them when a container needs them, or fails then",
  remedy: "docker pull IMAGE on the host",
  source: "https://docs.docker.com/reference/cli/docker/image/inspect/",
  check: ({ plan, facts: { absentImages } }) => {
    if (!absentImages.known) return [notRead(absentImages.reason)];
    const absent = absentImages.value;
    const others = plan.builds.length > 0 ? " that the stack does not build" : "";
    if (absent.length === 0) return [met(`all of them${others}`)];
    return [{ found: `not there: ${absent.join(", ")}` }];
  },
});

export const freePorts = defineDockerRule({
  id: "docker-ports",
  title: "LiteLLM's and the dashboard's port free on the host",
  severity: "fatal",
  consequence: "the container could not start",
  remedy: "end what listens there, or set another port under infrastructure",
  source: "docs/decisions.md#c-06",
  check: ({ facts: { takenPorts } }) => {
    if (!takenPorts.known) return [notRead(takenPorts.reason)];
    if (takenPorts.value.length === 0) return [met("free")];
    return takenPorts.value.map(({ port, by }) => ({ found: `port ${port} is taken by ${by}` }));
  },
});

export const freeSubnets = defineDockerRule({
  id: "docker-networks",
  title: "the stack's networks free of other networks of the daemon",
  severity: "fatal",
  consequence: "the daemon refuses a network that overlaps another",
  remedy: "set network.train_subnet and network.sandbox_subnet in the site file to free networks",
  source: "https://docs.docker.com/reference/cli/docker/network/inspect/",
  check: ({ docker, facts: { otherNetworks } }) => {
    if (!otherNetworks.known) return [notRead(otherNetworks.reason)];
    const own = Object.values(docker.networks);
    const overlapping = otherNetworks.value.flatMap(({ name, subnet }) =>
      own
        .filter((network) => overlap(network.subnet, subnet))
        .map((network) => `${network.subnet} of ${network.name} overlaps ${subnet} of ${name}`),
    );
    if (overlapping.length === 0) return [met("free")];
    return overlapping.map((found) => ({ found }));
  },
});

export const inhibitedGateway = defineDockerRule({
  id: "docker-isolation",
  title: "a network that the host itself is not in",
  severity: "fatal",
  consequence: "sandboxes would reach services of the host through the network's gateway",
  remedy: "Docker Engine 20.10 or newer on Linux, with the bridge driver",
  source:
    "measured 2026-11-24 with Docker 20.10: the gateway of an internal network answers unless inhibit_ipv4 is set",
  check: ({ facts: { server } }) => {
    if (!server.known) return [notRead(server.reason)];
    const { version, os, api } = server.value;
    const supported = os === "linux" && !isOlder(api, "1.41");
    const found = `Docker ${version} on ${os}`;
    return [supported ? met(`${found}: inhibit_ipv4`) : { found }];
  },
});

export const cgroupLimits = defineDockerRule({
  id: "docker-cgroups",
  title: "control groups with limits for memory and CPUs",
  severity: "fatal",
  consequence: "an unbounded sandbox takes the host's memory, and training with it",
  remedy: "boot with cgroup v2, or with swapaccount=1 cgroup_enable=memory",
  source: "https://docs.docker.com/reference/cli/docker/system/info/",
  check: ({ facts: { info } }) => {
    if (!info.known) return [notRead(info.reason)];
    const { version, memory, cpus } = info.value.cgroup;
    const found = `cgroup v${version || "?"}`;
    if (memory && cpus) return [met(found)];
    const without = [...(memory ? [] : ["memory"]), ...(cpus ? [] : ["CPU"])].join(" and ");
    return [{ found: `${found} without limits for ${without}` }];
  },
});

export const freeDisk = defineDockerRule({
  id: "docker-disk",
  title: "50 GB free where volumes live",
  severity: "warn",
  consequence: "a checkpoint could not be written",
  remedy: "free some, or set storage.checkpoints to a directory on another disk",
  source: "docs/decisions.md#c-34",
  check: ({ facts: { freeBytes } }) => {
    if (!freeBytes.known) return [notRead(freeBytes.reason)];
    const found = `${Math.floor(freeBytes.value / 1e9)} GB free`;
    return [freeBytes.value >= leastFreeBytes ? met(found) : { found }];
  },
});

function isOlder(version: string, than: string): boolean {
  const [a = [], b = []] = [version, than].map((text) => text.split(".").map(Number));
  const [major = 0, minor = 0] = a;
  const [leastMajor = 0, leastMinor = 0] = b;
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

function inGiB(bytes: number): string {
  return `${Math.floor(bytes / GiB)}Gi`;
}
