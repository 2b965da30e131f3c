import { defineClusterRule, met, notRead } from "../rule.ts";

/** To Pulumi a Job that has failed is one that is there. */
export const runState = defineClusterRule({
  id: "run-state",
  title: "a run that has not failed",
  severity: "warn",
  consequence: "GPUs and rollout servers are held, and nothing trains",
  remedy:
    "mend what it says; the next `pulumi up` submits the run again, and it goes on from its newest checkpoint",
  source: "docs/operations.md",
  check: ({ facts: { run } }) => {
    if (!run.known) return [notRead(run.reason)];
    if (run.value === undefined) return [];
    const { state, step, why } = run.value;
    const after = step === undefined ? "" : ` after step ${step}`;
    switch (state) {
      case "failed":
        return [{ found: `has failed${after}${why === undefined ? "" : `: ${why}`}` }];
      case "ended":
        return [met(`has ended${after}`)];
      case "training":
        return [met(`trains; step ${step ?? 0} is done`)];
      case "starting":
        return [met("is starting: no step is done")];
    }
  },
});
