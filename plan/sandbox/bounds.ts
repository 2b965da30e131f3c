import type { Basis } from "../host.ts";
import { type TrialLife, trialLife } from "./trial-life.ts";
import { type Placement, sandboxPlacement } from "../nodes/index.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** Pods beyond the parallel trials that the quota admits: sandboxes that are still ending while their successors start. */
const endingShare = 0.25;

/** Scratch space of one sandbox: task repositories and build outputs. */
const ephemeralStorageBytes = 32 * GiB;

/** Bounds of the sandbox namespace. */
export interface Sandboxes extends Placement {
  readonly parallelTrials: number;
  /** Pods that the quota admits. */
  readonly pods: number;
  readonly perPod: {
    readonly cpus: number;
    readonly memoryRequestBytes: number;
    readonly memoryLimitBytes: number;
    readonly ephemeralStorageBytes: number;
  };
  readonly quota: {
    readonly cpus: number;
    readonly memoryRequestBytes: number;
    readonly memoryLimitBytes: number;
    readonly ephemeralStorageBytes: number;
  };
  /** Of a trial, and of the pod that it runs in. */
  readonly life: { readonly training: TrialLife; readonly validation: TrialLife };
  /** No sandbox lives longer, in seconds. */
  readonly longestDeadlineSeconds: number;
}

export function planSandboxes(settings: Basis): Sandboxes {
  const { harbor_agent: agent, sandbox } = settings.experiment;
  const life = {
    training: trialLife(settings, "training"),
    validation: trialLife(settings, "validation"),
  };
  const memoryRequestBytes = agent.environment_override_memory_mb * MiB;
  const memoryLimitBytes = Math.ceil(memoryRequestBytes * sandbox.memory_limit_factor);
  const pods = sandbox.parallel_trials + Math.ceil(sandbox.parallel_trials * endingShare);
  return {
    parallelTrials: sandbox.parallel_trials,
    pods,
    perPod: {
      cpus: agent.environment_override_cpus,
      memoryRequestBytes,
      memoryLimitBytes,
      ephemeralStorageBytes,
    },
    quota: {
      cpus: pods * agent.environment_override_cpus,
      memoryRequestBytes: pods * memoryRequestBytes,
      memoryLimitBytes: pods * memoryLimitBytes,
      ephemeralStorageBytes: pods * ephemeralStorageBytes,
    },
    life,
    longestDeadlineSeconds: Math.max(life.training.deadline, life.validation.deadline),
    ...sandboxPlacement(settings),
  };
}
