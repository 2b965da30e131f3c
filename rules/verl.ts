/** Rules about verl's own configuration. */
import { looksSecret } from "../config/schema/secret-name.ts";
import { fusedKernels, ownOverride, type Override } from "../plan/verl/index.ts";
import { type Decided, defineRule, noPlan } from "./rule.ts";

/** The experiment's overrides of keys that the Plan sets itself. */
function contested({
  plan,
  settings,
}: Decided): { readonly own: unknown; readonly twin: Override }[] {
  const planned = plan.trainer.overrides.filter(({ source }) => source !== ownOverride);
  return planned.flatMap((twin) =>
    Object.hasOwn(settings.experiment.verl.overrides, twin.key)
      ? [{ own: settings.experiment.verl.overrides[twin.key], twin }]
      : [],
  );
}

export const fusedKernelsOff = defineRule({
  id: "C-14",
  title: "VeOmni runs without fused kernels and without activation offload",
  severity: "fatal",
  consequence: "the backward pass crashes: storage of size 0",
  remedy: "leave the override out",
  source: "docs/decisions.md#c-14",
  *check(decided) {
    for (const { own, twin } of contested(decided)) {
      if (twin.source !== fusedKernels || twin.value === own) continue;
      yield {
        path: ["verl", "overrides", twin.key],
        found: `is ${String(own)}, and the Plan sets ${String(twin.value)} for VeOmni`,
      };
    }
  },
});

export const ownedOverride = defineRule({
  id: "override-owned",
  title: "no override of a key that a setting decides",
  severity: "fatal",
  consequence: "the Plan would show one value and the run would take another",
  remedy: "change the setting instead",
  source: "docs/decisions.md#one-decision-one-place",
  unwaivable: noPlan,
  *check(decided) {
    for (const { own, twin } of contested(decided)) {
      if (twin.source === fusedKernels && twin.value !== own) continue;
      yield {
        path: ["verl", "overrides", twin.key],
        found: `is a key that the Plan sets itself, from ${twin.source}`,
      };
    }
  },
});

export const secretOverride = defineRule({
  id: "C-47",
  title: "no credential in a file",
  severity: "fatal",
  consequence: "it would stand in version control, in the stack's state and in pod specifications",
  remedy: "store it with: pulumi config set --secret swe-rl:wandbApiKey",
  source: "docs/decisions.md#c-47",
  unwaivable: "a secret in a command line is no secret",
  *check({ settings: { experiment } }) {
    for (const [key, value] of Object.entries(experiment.verl.overrides)) {
      if (!looksSecret(key) || value === null || value === "") continue;
      yield { path: ["verl", "overrides", key], found: "looks like a credential" };
    }
  },
});

export const configurationName = defineRule({
  id: "verl-configuration",
  title: "a Hydra configuration that the distribution of verl has",
  severity: "fatal",
  consequence: "Hydra refuses to start",
  remedy: "leave verl.config_name out",
  source: "https://pypi.org/project/verl/",
  unwaivable: noPlan,
  *check({ settings: { experiment } }) {
    const { distribution, config_name: name } = experiment.verl;
    if (distribution !== "stock" || name === undefined) return;
    yield {
      path: ["verl", "config_name"],
      found: `is ${name}, a configuration of the fork, but verl.distribution is stock`,
    };
  },
});

export const policyLoss = defineRule({
  id: "policy-loss",
  title: "a policy loss that the release of verl has",
  severity: "fatal",
  consequence: "the run fails at its first update",
  remedy: "use verl.version 0.9.1, or another algorithm.policy_loss_mode",
  source: "https://pypi.org/project/verl/",
  *check({ settings: { experiment } }) {
    const { verl, algorithm } = experiment;
    if (verl.version !== "0.8.0" || algorithm.policy_loss_mode !== "dro") return;
    yield {
      path: ["algorithm", "policy_loss_mode"],
      found: "is dro, which verl 0.8.0 does not have",
    };
  },
});
