import type { Basis } from "../host.ts";
import type { Names } from "../names.ts";
import type { Sandboxes } from "./bounds.ts";
import { type Requests, requestsOf } from "../requests.ts";

/** What deletes the sandboxes that Kubernetes, Harbor and the trainer leave behind. */
export interface Reaper {
  /** Name of its pod, its account and its rights. */
  readonly name: string;
  readonly requests: Requests;
  /** The only sandboxes that it looks at, as `key=value`. */
  readonly runLabel: string;
  /** What the names of the pods begin with that make sandboxes. */
  readonly ownerPrefix: string;
  /** Deadline of a pod that names none; pods of validation name a longer one. */
  readonly deadlineSeconds: number;
  /** No pod's own deadline counts beyond it. */
  readonly longestDeadlineSeconds: number;
  /** Longest wait for a pod to start. */
  readonly startupSeconds: number;
  readonly graceSeconds: number;
  /** How long a finished pod stays. */
  readonly finishedSeconds: number;
  readonly roundSeconds: number;
  /** Pods that it deletes in one round, so that no mistake of its own can empty a namespace at once. */
  readonly mostPerRound: number;
  /** It says what it would delete, and deletes nothing. */
  readonly dryRun: boolean;
}

export function planReaper(
  { experiment }: Basis,
  { names, sandboxes }: { names: Names; sandboxes: Sandboxes },
): Reaper {
  const { harbor_agent: agent, k8s, sandbox } = experiment;
  return {
    name: names.reaper,
    requests: requestsOf(50, { memory: 128, limit: 512 }),
    runLabel: `harbor-run=${agent.pod_name_prefix}`,
    ownerPrefix: `${names.rayCluster}-`,
    deadlineSeconds: sandboxes.life.training.deadline,
    longestDeadlineSeconds: sandboxes.longestDeadlineSeconds,
    startupSeconds: Math.max(k8s.pod_startup_timeout, k8s.val_pod_startup_timeout),
    graceSeconds: sandbox.reaper.grace_minutes * 60,
    finishedSeconds: sandbox.reaper.finished_minutes * 60,
    roundSeconds: 60,
    mostPerRound: 100,
    dryRun: sandbox.reaper.dry_run,
  };
}
