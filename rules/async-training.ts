/** Rules about rollout and training at the same time. */
import { canSetConcurrency, samplesPerServer } from "../plan/run/index.ts";
import { defineRule, noPlan } from "./rule.ts";

export const concurrentSamples = defineRule({
  id: "concurrent-samples",
  title: "the prompts in flight are what verl can hold, in equal shares",
  severity: "fatal",
  consequence: "verl takes another number than the quota is sized for",
  remedy: "leave async_training.max_concurrent_samples out",
  source: "docs/decisions.md#d-11",
  unwaivable: noPlan,
  *check({ settings: { experiment }, plan: { topology } }) {
    const { async_training: wanted, verl } = experiment;
    const { max_concurrent_samples: most } = wanted;
    const { rolloutServers } = topology;
    const usual = samplesPerServer[verl.distribution];
    if (topology.mode === "sync" || most === undefined || most === usual * rolloutServers) return;
    const path = ["async_training", "max_concurrent_samples"];
    if (!canSetConcurrency(verl)) {
      yield {
        path,
        found: `is ${most}, but verl ${verl.version} (${verl.distribution}) derives it: ${rolloutServers} rollout servers × ${usual}`,
        remedy: "leave it out, or use stock verl 0.9.1",
      };
    }
    if (most % rolloutServers !== 0) {
      yield {
        path,
        found: `is ${most}, which the ${rolloutServers} rollout servers cannot share evenly`,
        remedy: `choose a multiple of ${rolloutServers}`,
      };
    }
  },
});

const rollouter =
  "https://github.com/volcengine/verl/blob/v0.8.0/verl/experimental/fully_async_policy/fully_async_rollouter.py";

export const firstSync = defineRule({
  id: "no-weight-sync",
  title: "an asynchronous run has prompts for at least one weight sync",
  severity: "fatal",
  consequence: "the run ends without a step of the trainer",
  remedy: "raise async_training.total_rollout_steps",
  source: rollouter,
  *check({ plan: { asyncTraining } }) {
    if (!asyncTraining || asyncTraining.weightSyncs >= 1) return;
    const { requiredSamples, parameterSyncSteps: steps, totalRolloutSteps } = asyncTraining;
    if (!Number.isInteger(steps) || steps < 1) return;
    const needed = requiredSamples * steps;
    yield {
      path: ["async_training", "total_rollout_steps"],
      found: `is ${totalRolloutSteps}, but a weight sync takes ${requiredSamples} prompts × ${steps} ${steps === 1 ? "step" : "steps"} = ${needed}`,
      remedy: `choose at least ${needed}`,
    };
  },
});
