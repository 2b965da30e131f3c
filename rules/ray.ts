/** Rules about Ray's pods and the ports that they take. */
import type { SettingPath } from "../config/load/problem.ts";
import { machineSetting } from "../plan/host.ts";
import { fixedRayPorts, type RayPod, rayWorkerPorts } from "../plan/ray/index.ts";
import { leastProcessMemoryBytes } from "../plan/serving/index.ts";
import { type Decided, defineRule, noPlan, type Verdict } from "./rule.ts";

const GiB = 2 ** 30;

export const rayToken = defineRule({
  id: "ray-token",
  title: "Ray 2.52 or newer, which has token authentication",
  severity: "fatal",
  consequence: "anyone who reaches the dashboard runs code",
  remedy: "use a newer Ray in the training image, and say so in ray.version",
  source: "https://github.com/ray-project/ray/issues/56563",
  unwaivable: "a cluster without authentication is open to every pod that reaches it",
  *check({ plan: { ray } }) {
    if (compareVersions(ray.version, "2.52.0") >= 0) return;
    yield {
      path: ["ray", "version"],
      found: `is ${ray.version}, but token authentication needs at least 2.52.0`,
    };
  },
});

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export const sharedMemory = defineRule({
  id: "shared-memory",
  title: "memory remains for processes beside /dev/shm",
  severity: "fatal",
  consequence: "the kernel kills the run's processes",
  remedy: "give more memory, or a smaller ray.object_store_bytes",
  source: "https://github.com/vllm-project/vllm/issues/37982; docs/decisions.md#c-38",
  *check({ host, plan: { ray } }) {
    const pods: readonly (readonly [SettingPath, RayPod])[] = [
      [["ray", "head_memory"], ray.head],
      ...ray.groups.map((group) => [machineSetting(host, "memory"), group] as const),
    ];
    for (const [path, pod] of pods) {
      const rest = pod.memoryBytes - pod.sharedMemoryBytes;
      if (rest >= leastProcessMemoryBytes) continue;
      yield {
        path,
        found: `is ${inGiB(pod.memoryBytes)}, of which /dev/shm takes ${inGiB(pod.sharedMemoryBytes)} (object store ${inGiB(pod.objectStoreBytes)}) and ${inGiB(rest)} remain for processes`,
        remedy: `give at least ${inGiB(pod.sharedMemoryBytes + leastProcessMemoryBytes)}`,
      };
    }
  },
});

function inGiB(bytes: number): string {
  return `${Math.floor(bytes / GiB)}Gi`;
}

export const podInterface = defineRule({
  id: "C-40",
  title: "training pods speak on an interface that other pods reach",
  severity: "fatal",
  consequence: "nodes cannot find each other, and agents cannot reach the model",
  remedy: "name the interface of the pod network, such as eth0",
  source: "docs/decisions.md#c-39; docs/decisions.md#c-40",
  *check({ host }) {
    if (host.network.interface !== "lo") return;
    yield {
      path: ["site", "network", "interface"],
      found: "is lo, which no other pod reaches",
    };
  },
});

const rangePath = ["site", "network", "rollout_ports"];

interface FixedPort {
  readonly path: SettingPath;
  readonly name: string;
  readonly port: number;
}

function fixedPorts({ plan: { ray, proxy } }: Decided): readonly FixedPort[] {
  const { gcs, dashboard } = ray.ports;
  return [
    { path: ["infrastructure", "ray_port"], name: "Ray's control store", port: gcs },
    { path: ["infrastructure", "ray_dashboard_port"], name: "Ray's dashboard", port: dashboard },
    ...(proxy.mode === "litellm"
      ? [
          { path: ["infrastructure", "litellm_port"], name: "LiteLLM", port: proxy.port },
          { path: ["proxy", "recorder_port"], name: "the recorder", port: proxy.recorder.port },
        ]
      : []),
    { path: rangePath, name: "Ray's client server", port: fixedRayPorts.client },
    { path: rangePath, name: "Ray's metrics", port: fixedRayPorts.metrics },
    { path: rangePath, name: "Ray's dashboard agent", port: fixedRayPorts.dashboardAgent },
  ];
}

export const onePortEach = defineRule({
  id: "C-06",
  title: "no two programs on one port",
  severity: "fatal",
  consequence: "the second program does not start, or takes another port silently",
  remedy: "choose another port",
  source: "docs/decisions.md#c-06",
  unwaivable: noPlan,
  *check(decided) {
    const { ray, proxy } = decided.plan;
    const { from, to } = ray.ports.ephemeral;
    const fixed = fixedPorts(decided);
    for (const [i, { path, name, port }] of fixed.entries()) {
      const twin = fixed.slice(0, i).find((other) => other.port === port);
      if (twin) yield { path, found: `port ${port} of ${name} is also that of ${twin.name}` };
      if (port >= from && port <= to) {
        yield {
          path,
          found: `port ${port} of ${name} lies in the range ${from}-${to} of the rollout servers (site network.rollout_ports)`,
          consequence: "either could take it first",
        };
      }
    }
    if (proxy.mode === "litellm" || !proxy.isKeyed) return;
    const { from: first, to: last } = proxy.ports;
    const path = ["harbor_runtime", "num_workers"];
    const found = `makes agent-loop workers take ports ${first}-${last}`;
    const remedy = "lower it, or choose another port";
    for (const { name, port } of fixed) {
      if (port < first || port > last) continue;
      yield { path, found: `${found}, and ${port} is that of ${name}`, remedy };
    }
    if (first <= to && last >= from) {
      const range = `${from}-${to} of the rollout servers (site network.rollout_ports)`;
      yield { path, found: `${found}, which overlap the range ${range}`, remedy };
    }
  },
});

/** NCCL, Ray and vLLM together take some hundreds of ports in one pod. */
const fewestPorts = 1000;

export const portRange = defineRule({
  id: "port-range",
  title: "the range of the rollout servers is wide enough and used by no other program",
  severity: "fatal",
  consequence: "Ray refuses to start",
  remedy: "change network.rollout_ports in the site file",
  source: "https://docs.ray.io/en/latest/ray-core/configure.html#ports-configurations",
  unwaivable: noPlan,
  *check(decided): Generator<Verdict> {
    const { from, to } = decided.plan.ray.ports.ephemeral;
    const { from: first, to: last } = rayWorkerPorts;
    if (to - from + 1 < fewestPorts) {
      yield {
        path: rangePath,
        found: `${from}-${to} has fewer than ${fewestPorts} ports`,
        consequence: "NCCL, Ray and vLLM run out of ports",
        remedy: "widen it",
      };
    }
    for (const { path, name, port } of fixedPorts(decided)) {
      if (port < first || port > last) continue;
      yield {
        path,
        found: `port ${port} of ${name} lies in the range ${first}-${last} of Ray's workers`,
        remedy: "choose another port",
      };
    }
    if (from <= last && to >= first) {
      yield {
        path: rangePath,
        found: `${from}-${to} overlaps the range ${first}-${last} of Ray's workers`,
      };
    }
  },
});

/** Tags that by custom are moved to the newest build. */
const movingTags = ["latest", "main", "master", "nightly", "dev", "edge", "stable", "head"];

export const imagePin = defineRule({
  id: "C-08",
  title: "the training image is named by a digest, or by a tag that stays",
  severity: "warn",
  consequence:
    "nodes that pulled at different times, and a restart, run different code under one name",
  remedy: "name a digest, NAME@sha256:DIGEST, or the tag of a release",
  source:
    "docs/decisions.md#c-08; https://kubernetes.io/docs/concepts/containers/images/#image-names",
  *check({ settings: { experiment }, plan: { trainer } }) {
    const { image } = trainer;
    // A colon before the last slash belongs to the registry's port.
    const [, tag = ""] = (image.split("/").at(-1) ?? "").split(":");
    if (image.includes("@") || (tag !== "" && !movingTags.includes(tag))) return;
    yield {
      path:
        experiment.trainer.image === undefined
          ? ["site", "images", "training"]
          : ["trainer", "image"],
      found: `is ${image}, ${tag === "" ? "without a tag, which means latest" : `whose tag ${tag} moves`}`,
    };
  },
});
