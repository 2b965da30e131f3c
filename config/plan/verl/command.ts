import type { Experiment } from "../../schema/experiment.ts";
import type { Problems } from "../problems.ts";
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
  dataOverrides,
  modelOverrides,
  actorOverrides,
  referenceOverrides,
  rolloutOverrides,
  algorithmOverrides,
  criticOverrides,
  trainerOverrides,
];

/** Configuration of the original system's fork, below its checkout. */
const forkConfiguration = { folder: "src/verl_patch/config", name: "harbor_verl_sync" } as const;

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
  const { verl, trainer } = experiment;
  const configuration =
    verl.distribution === "fork"
      ? [
          `--config-path=${trainer.project_dir}/${forkConfiguration.folder}`,
          `--config-name=${forkConfiguration.name}`,
        ]
      : [];
  return [
    "python3",
    "-m",
    "verl.trainer.main_ppo",
    ...configuration,
    ...overrides.map(formatOverride),
  ];
}

/** Losses that a release does not have yet. */
function checkRelease({ verl, algorithm }: Experiment, problems: Problems): void {
  if (verl.version === "0.8.0" && algorithm.policy_loss_mode === "dro") {
    problems.error(
      ["algorithm", "policy_loss_mode"],
      "is dro, which verl 0.8.0 does not have: the run would fail at its first update. Use verl.version 0.9.1, or another loss.",
    );
  }
}
