/** Rules about verl's own configuration. */
import { looksSecret } from "../config/schema/secret-name.ts";
import { nearest } from "../config/load/suggest.ts";
import {
  composedKeys,
  formatValue,
  fusedKernels,
  keyStanding,
  ownOverride,
  type Override,
} from "../plan/verl/index.ts";
import { loraRankKeys } from "../plan/memory/index.ts";
import { type Decided, defineRule, noPlan } from "./rule.ts";

/** The experiment's own overrides. */
function ownOverrides({ plan }: Decided): readonly Override[] {
  return plan.trainer.overrides.filter(({ source }) => source === ownOverride);
}

const pathOf = ({ key }: Override) => ["verl", "overrides", key];

/** Those of keys that the Plan sets itself. */
function contested(decided: Decided): { readonly own: Override; readonly twin: Override }[] {
  const own = ownOverrides(decided);
  return decided.plan.trainer.overrides.flatMap((twin) => {
    if (twin.source === ownOverride) return [];
    const rival = own.find(({ key }) => key === twin.key);
    return rival ? [{ own: rival, twin }] : [];
  });
}

export const fusedKernelsOff = defineRule({
  id: "C-14",
  title: "VeOmni runs without fused kernels and without activation offload",
  severity: "fatal",
  consequence: "the backward pass crashes: storage of size 0",
  remedy: "leave it out",
  source: "docs/decisions.md#c-14",
  *check(decided) {
    const { training, verl } = decided.settings.experiment;
    if (verl.engine === "veomni" && training.activation_offload) {
      yield {
        path: ["training", "activation_offload"],
        found: "is true, and the engine is veomni",
      };
    }
    for (const { own, twin } of contested(decided)) {
      if (twin.source !== fusedKernels || twin.value === own.value) continue;
      yield {
        path: pathOf(own),
        found: `is ${formatValue(own.value)}, and the Plan sets ${formatValue(twin.value)} for VeOmni`,
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
      if (twin.source === fusedKernels && twin.value !== own.value) continue;
      yield {
        path: pathOf(own),
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
  *check(decided) {
    for (const own of ownOverrides(decided)) {
      if (!looksSecret(own.key) || own.value === null || own.value === "") continue;
      yield { path: pathOf(own), found: "looks like a credential" };
    }
  },
});

/** Edits between a key and the one that was meant. */
const slip = 3;

export const overrideKey = defineRule({
  id: "override-key",
  title: "overrides of keys that verl has, or takes",
  severity: "fatal",
  consequence: "verl refuses to start, or ignores it silently",
  remedy: "correct the key; plan/verl/keys has those of every release",
  source: "https://pypi.org/project/verl/; docs/decisions.md#overrides",
  *check(decided) {
    const { experiment } = decided.settings;
    const { verl } = experiment;
    for (const own of ownOverrides(decided)) {
      const standing = keyStanding(own.key, experiment);
      if (standing === "there" || standing === "open") continue;
      const meant = nearest(own.key, composedKeys(experiment), slip);
      const release = `verl ${verl.version} with the engine ${verl.engine}`;
      if (meant !== undefined) {
        yield {
          path: pathOf(own),
          found: `is no key of ${release}`,
          remedy: `did you mean ${meant}?`,
        };
      } else if (verl.distribution === "stock") {
        const where =
          standing === "foreign" ? ": another engine has it, or asynchronous training" : "";
        yield { path: pathOf(own), found: `is no key of ${release}${where}` };
      } else {
        yield {
          severity: "unknown",
          path: pathOf(own),
          found: `is no key of ${release}, and whether the fork has it is unknown; it is added with ++`,
          remedy: "compare it with the fork's configuration",
        };
      }
    }
  },
});

/** What hangs on keys that no setting covers, by the beginning of the key. */
const bases: readonly (readonly [prefix: string, what: string])[] = [
  ["actor_rollout_ref.rollout.data_parallel_size", "the number of rollout servers"],
  ["actor_rollout_ref.rollout.pipeline_model_parallel_size", "the number of rollout servers"],
  ["actor_rollout_ref.rollout.expert_parallel_size", "the GPUs of a rollout server"],
  ["actor_rollout_ref.rollout.disaggregation.", "the number of rollout servers"],
  ["actor_rollout_ref.rollout.nnodes", "the GPUs of the rollout servers"],
  ["actor_rollout_ref.rollout.n_gpus_per_node", "the GPUs of the rollout servers"],
  ["actor_rollout_ref.rollout.prompt_length", "the window and its memory"],
  ["actor_rollout_ref.rollout.response_length", "the window and its memory"],
  ["actor_rollout_ref.actor.strategy", "the engine and its memory"],
  ["critic.strategy", "the engine and its memory"],
  ["critic.enable", "the trained models and their memory"],
  ["data.gen_batch_size", "the trials of a step"],
  ["reward.reward_model.", "the GPUs of the stack"],
  ["distillation.", "the GPUs of the stack"],
  ["ray_kwargs.ray_init.", "the Ray cluster that the run joins"],
  ["trainer.remove_previous_ckpt_in_save", "the checkpoints that are kept"],
];

export const overrideBasis = defineRule({
  id: "override-basis",
  title: "no override of what the Plan's own numbers hang on",
  severity: "fatal",
  consequence:
    "the stack is made for other numbers than the run has, and waits, or runs out, without a word",
  remedy: "leave it out, or waive this rule if you have looked at what hangs on it",
  source: "docs/decisions.md#overrides",
  *check(decided) {
    const isSet = new Set(contested(decided).map(({ own }) => own.key));
    for (const own of ownOverrides(decided)) {
      if (isSet.has(own.key)) continue;
      const basis = bases.find(([prefix]) =>
        prefix.endsWith(".") ? own.key.startsWith(prefix) : own.key === prefix,
      );
      if (basis)
        yield { path: pathOf(own), found: `is a key that the Plan's numbers hang on: ${basis[1]}` };
    }
  },
});

export const lora = defineRule({
  id: "lora-memory",
  title: "memory and checkpoints are estimated by what was measured",
  severity: "warn",
  consequence: "the estimate may be off by more than it says",
  remedy:
    "measure the first steps, and set training.checkpoints_to_keep by what a checkpoint takes",
  source: "docs/memory.md",
  *check(decided) {
    const { engine } = decided.settings.experiment.verl;
    for (const own of ownOverrides(decided)) {
      if (!loraRankKeys.some((key) => key === own.key) || !(Number(own.value) > 0)) continue;
      const isCounted = engine === "fsdp" && own.key === loraRankKeys[0];
      yield {
        path: pathOf(own),
        found: `is ${formatValue(own.value)}: adapters are trained, ${isCounted ? "whose memory and checkpoints are derived, and were not measured" : "and the estimate is that of full training, which needs more"}`,
      };
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
