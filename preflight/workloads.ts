/** Every pod that a stack runs for its whole life, with what it asks for; sandboxes come and go beside them. */
import type { Compartment } from "../plan/names.ts";
import type { Plan } from "../plan/plan.ts";
import type { Ground } from "../plan/nodes/placement.ts";

const MiB = 2 ** 20;

export interface Workload {
  readonly what: string;
  readonly compartment: Compartment;
  readonly replicas: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Most that it may use. */
  readonly memoryLimitBytes: number;
  readonly gpus: number;
  readonly ground: Ground;
}

/** The program beside Ray that submits the run and follows it. */
const follower = { cpus: 0.1, memoryBytes: 128 * MiB, memoryLimitBytes: 512 * MiB } as const;

/** Somebody for sandboxes to be refused by, and to be let in by. */
const listener = { cpus: 0.02, memoryBytes: 48 * MiB, memoryLimitBytes: 128 * MiB } as const;

/** The program that deletes sandboxes that nobody else deletes. */
const reaper = { cpus: 0.05, memoryBytes: 128 * MiB, memoryLimitBytes: 512 * MiB } as const;

export function workloadsOf(plan: Plan): Workload[] {
  const { ray, proxy, serving, gpuPlacement } = plan;
  const train = { compartment: "train", gpus: 0, ground: ray.head } as const;
  const alike = (pod: { cpus: number; memoryBytes: number }) => ({
    cpus: pod.cpus,
    memoryBytes: pod.memoryBytes,
    memoryLimitBytes: pod.memoryBytes,
  });
  return [
    { ...train, what: "the Ray head", replicas: 1, ...alike(ray.head) },
    { ...train, what: "the trainer's follower", replicas: 1, ...follower },
    { ...train, what: "the reaper", replicas: 1, ...reaper },
    ...[plan.isolation.door, plan.isolation.standIn].map(({ compartment }) => ({
      ...train,
      compartment,
      what: "a listener of the egress proof",
      replicas: 1,
      ...listener,
    })),
    ...(proxy.mode === "litellm"
      ? [
          { ...train, what: "the recorder", replicas: 1, ...alike(proxy.recorder) },
          {
            ...train,
            compartment: "proxy" as const,
            what: "LiteLLM",
            replicas: proxy.replicas,
            ...alike(proxy),
          },
        ]
      : []),
    ...ray.groups.map((group) => ({
      ...train,
      what: `Ray group ${group.name}`,
      replicas: group.replicas,
      ...alike(group),
      gpus: group.gpus,
      ground: gpuPlacement,
    })),
    ...serving.map((model) => ({
      ...train,
      what: `frozen model ${model.name}`,
      replicas: model.replicas,
      ...alike(model),
      gpus: model.gpus,
      ground: gpuPlacement,
    })),
  ];
}

/** `2 × 100 CPUs` of several workloads together. */
export function sum(
  workloads: readonly Workload[],
  amount: (workload: Workload) => number,
): number {
  return workloads.reduce((total, workload) => total + workload.replicas * amount(workload), 0);
}
