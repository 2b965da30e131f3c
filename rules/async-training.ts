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
