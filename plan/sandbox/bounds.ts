import type { Settings } from "../../config/load/load.ts";
import type { Experiment } from "../../config/schema/experiment.ts";
import type { AsyncTraining } from "../run/async-training.ts";
import type { Batches } from "../run/batches.ts";
import { type Placement, sandboxPlacement } from "../nodes/pools.ts";
import type { Problems } from "../problems.ts";

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
  /** Seconds after which Kubernetes ends a sandbox pod. */
  readonly deadlineSeconds: number;
  /** The same for validation, whose images may have to be pulled first. */
  readonly validationDeadlineSeconds: number;
  /** No sandbox lives longer. */
  readonly longestDeadlineSeconds: number;
}

export function planSandboxes(
  settings: Settings,
  parts: { batches: Batches; asyncTraining: AsyncTraining | undefined },
  problems: Problems,
): Sandboxes {
  const { experiment } = settings;
  const { harbor_agent: agent, sandbox, k8s } = experiment;
  checkParallelTrials(experiment, parts, problems);
  if (k8s.pod_active_deadline_seconds <= agent.max_timeout_sec) {
    problems.error(
      "sandbox-deadline",
      ["k8s", "pod_active_deadline_seconds"],
      `is ${k8s.pod_active_deadline_seconds} s, not more than harbor_agent.max_timeout_sec ${agent.max_timeout_sec} s: Kubernetes would end sandboxes before their verifier has run. Leave at least 15 minutes.`,
    );
  }
  if (agent.host_path_mounts !== null && agent.host_path_mounts.length > 0) {
    problems.error(
      "sandbox-host-path",
      ["harbor_agent", "host_path_mounts"],
      "pod security baseline refuses hostPath in sandboxes, so every trial would fail. Put the files into the task images.",
    );
  }
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
    deadlineSeconds: k8s.pod_active_deadline_seconds,
    validationDeadlineSeconds: k8s.val_pod_active_deadline_seconds,
    longestDeadlineSeconds: Math.max(
      k8s.pod_active_deadline_seconds,
      k8s.val_pod_active_deadline_seconds,
    ),
    ...sandboxPlacement(settings),
  };
}

/** Fewer than can run at once: the quota would refuse the rest, and their trials fail. */
function checkParallelTrials(
  { sandbox, harbor_runtime: runtime }: Experiment,
  parts: { batches: Batches; asyncTraining: AsyncTraining | undefined },
  problems: Problems,
): void {
  const { batches, asyncTraining } = parts;
  const inFlight = asyncTraining && asyncTraining.maxConcurrentSamples * batches.trialsPerPrompt;
  const needed = inFlight ?? runtime.num_workers;
  if (sandbox.parallel_trials >= needed) return;
  const why =
    asyncTraining === undefined
      ? `harbor_runtime.num_workers ${runtime.num_workers}: the quota would refuse the pods of the other workers`
      : `the ${asyncTraining.maxConcurrentSamples} prompts in flight × ${batches.trialsPerPrompt} trials = ${needed}: the quota would refuse the other pods`;
  problems.error(
    "sandbox-quota",
    ["sandbox", "parallel_trials"],
    `is ${sandbox.parallel_trials}, less than ${why}. Choose at least ${needed}.`,
  );
}
