import type { Experiment } from "../../schema/experiment.ts";
import type { Problems } from "../problems.ts";
import { asyncTrainingOverrides } from "./async-training.ts";
import { engineOverrides } from "./engine.ts";
import { addableKeys, formatOverride, type Override } from "./override.ts";
import {
  actorOverrides,
  algorithmOverrides,
  criticOverrides,
  dataOverrides,
  modelOverrides,
  type OverrideInputs,
  referenceOverrides,
  rolloutOverrides,
  trainerOverrides,
} from "./sections.ts";

const sections = [
  engineOverrides,
  dataOverrides,
  modelOverrides,
  actorOverrides,
  referenceOverrides,
  rolloutOverrides,
  algorithmOverrides,
  criticOverrides,
  trainerOverrides,
  asyncTrainingOverrides,
];

/** Where the fork's configurations lie, below its checkout. */
const forkFolder = "src/verl_patch/config";

/** Every override of the run, the experiment's own last. */
export function planOverrides(inputs: OverrideInputs, problems: Problems): Override[] {
  const planned = sections.flatMap((section) => section(inputs));
  for (const { prefix, key } of planned) {
    if (prefix === "++" && !addableKeys.some((pattern) => pattern.test(key))) {
      throw new Error(`the Plan adds ${key}, which is not in the list of addable keys`);
    }
  }
  const own = Object.entries(inputs.experiment.verl.overrides).map(([key, value]): Override => ({
    key,
    value,
    prefix: "",
    source: "verl.overrides",
  }));
  for (const { key } of own) {
    const twin = planned.find((override) => override.key === key);
    if (twin) {
      problems.error(
        "override-owned",
        ["verl", "overrides", key],
        `the Plan sets this key itself, from ${twin.source}. Change that instead.`,
      );
    }
  }
  checkRelease(inputs.experiment, problems);
  return [...planned, ...own];
}

/** The command that starts verl with these overrides. */
export function commandLine(experiment: Experiment, overrides: readonly Override[]): string[] {
  const { verl, trainer, tier } = experiment;
  const configuration =
    verl.distribution === "fork"
      ? [
          `--config-path=${trainer.project_dir}/${forkFolder}`,
          `--config-name=${verl.config_name ?? forkConfiguration(experiment)}`,
        ]
      : [];
  const entry =
    tier === "single-node"
      ? "verl.trainer.main_ppo"
      : "verl.experimental.fully_async_policy.fully_async_main";
  return ["python3", "-m", entry, ...configuration, ...overrides.map(formatOverride)];
}

/** The asynchronous names are those of the fork's public successor; the fork's own are not published. */
function forkConfiguration({ tier, verl }: Experiment): string {
  if (tier === "single-node") return "harbor_verl_sync";
  return verl.engine === "megatron" ? "lego_rl_fully_async_megatron" : "lego_rl_fully_async_fsdp";
}

/** What a release or distribution does not have. */
function checkRelease({ verl, algorithm }: Experiment, problems: Problems): void {
  if (verl.distribution === "stock" && verl.config_name !== undefined) {
    problems.error(
      "verl-configuration",
      ["verl", "config_name"],
      `is ${verl.config_name}, a configuration of the fork, but verl.distribution is stock. Leave it out.`,
    );
  }
  if (verl.version === "0.8.0" && algorithm.policy_loss_mode === "dro") {
    problems.error(
      "policy-loss",
      ["algorithm", "policy_loss_mode"],
      "is dro, which verl 0.8.0 does not have: the run would fail at its first update. Use verl.version 0.9.1, or another loss.",
    );
  }
}
