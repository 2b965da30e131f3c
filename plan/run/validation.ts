import type { Settings } from "../../config/load/load.ts";
import type { Problems } from "../problems.ts";

/** Time limits of validation trials, which take longer than training's. */
export function checkValidation({ experiment }: Settings, problems: Problems): void {
  const { harbor_agent: agent, k8s } = experiment;
  const { val_max_timeout_sec: cap, max_timeout_sec: trainingCap } = agent;
  if (cap < trainingCap) {
    problems.warn(
      "C-19",
      ["harbor_agent", "val_max_timeout_sec"],
      `is ${cap} s, less than the ${trainingCap} s of a training trial (harbor_agent.max_timeout_sec): unfinished validation trials are not scored. Leave it out, or give at least as much.`,
    );
  }
  if (k8s.val_pod_active_deadline_seconds <= cap) {
    problems.error(
      "sandbox-deadline",
      ["k8s", "val_pod_active_deadline_seconds"],
      `is ${k8s.val_pod_active_deadline_seconds} s, not more than harbor_agent.val_max_timeout_sec ${cap} s: Kubernetes would end validation sandboxes before their verifier has run. Leave at least 15 minutes.`,
    );
  }
}
