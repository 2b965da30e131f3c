import type { Basis } from "../host.ts";

/** Longest phases of a trial in its sandbox, in seconds. */
export interface TrialLife {
  /** From the pod's start until it is ready: images, entry gate. */
  readonly start: number;
  /** Set-up of the agent. */
  readonly setup: number;
  readonly agent: number;
  /** The task's tests. */
  readonly verifier: number;
  /** All of them. */
  readonly longest: number;
  /** When Kubernetes ends the pod. */
  readonly deadline: number;
}

/**
 * Harbor 0.26.0: `BaseAgent.DEFAULT_SETUP_TIMEOUT_SEC` and the default of a task's `verifier.timeout_sec`, which a task
 * may raise.
 */
const [setupSeconds, verifierSeconds] = [360, 600] as const;

/** Deadlines of the original system, which shorter trials keep. */
const leastDeadline = { training: 6000, validation: 9000 } as const;

/** Harbor 0.26.0 gives every phase `min(base, cap) × multiplier` (harbor/trial/trial.py, `_resolve_timeout_sec`). */
export function trialLife({ experiment }: Basis, kind: "training" | "validation"): TrialLife {
  const { harbor_agent: harbor, k8s } = experiment;
  const [start, cap, wanted] =
    kind === "training"
      ? [
          k8s.pod_startup_timeout,
          Math.min(harbor.override_timeout_sec, harbor.max_timeout_sec),
          k8s.pod_active_deadline_seconds,
        ]
      : [
          k8s.val_pod_startup_timeout,
          harbor.val_max_timeout_sec,
          k8s.val_pod_active_deadline_seconds,
        ];
  const phases = {
    start,
    setup: Math.ceil(setupSeconds * harbor.agent_setup_timeout_multiplier),
    agent: Math.ceil(cap * harbor.agent_timeout_multiplier),
    verifier: harbor.verifier_enabled
      ? Math.ceil(verifierSeconds * harbor.verifier_timeout_multiplier)
      : 0,
  };
  const longest = phases.start + phases.setup + phases.agent + phases.verifier;
  return { ...phases, longest, deadline: wanted ?? Math.max(leastDeadline[kind], longest) };
}
