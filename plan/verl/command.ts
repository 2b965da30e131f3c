import type { Experiment } from "../../config/schema/experiment.ts";
import { asyncTrainingOverrides } from "./async-training.ts";
import { engineOverrides } from "./engine.ts";
import { composedKeys, keyStanding } from "./keys.ts";
import { addableKeys, formatOverride, type Override, type OverrideValue } from "./override.ts";
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

/** Source of an override that the experiment sets by verl's own key. */
export const ownOverride = "verl.overrides";

/** Every override of the run, the experiment's own last. */
export function planOverrides(inputs: OverrideInputs): Override[] {
  const planned = sections.flatMap((section) => section(inputs));
  for (const { prefix, key } of planned) {
    if (prefix === "++" && !addableKeys.some((pattern) => pattern.test(key))) {
      throw new Error(`the Plan adds ${key}, which is not in the list of addable keys`);
    }
  }
  return [...planned, ...ownOverrides(inputs.experiment)];
}

/** The experiment's own overrides; maps become dotted keys, down to what verl has as a value. */
function ownOverrides(experiment: Experiment): Override[] {
  const known = new Set(composedKeys(experiment));
  const flat = (key: string, value: OverrideValue): [string, OverrideValue][] =>
    isMap(value) && !known.has(key)
      ? Object.entries(value).flatMap(([name, child]) => flat(`${key}.${name}`, child))
      : [[key, value]];
  return Object.entries(experiment.verl.overrides)
    .flatMap(([key, value]) => flat(key, value))
    .map(([key, value]) => ({
      key,
      value,
      // `++` also takes a key that a fork has; without it Hydra refuses one that is not there.
      prefix: keyStanding(key, experiment) === "there" ? "" : "++",
      source: ownOverride,
    }));
}

function isMap(value: OverrideValue): value is Readonly<Record<string, OverrideValue>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The command that starts verl with these overrides. In our own training image a check of image and inputs comes first, which
 * needs no GPU (training/src/swe_rl_training/check.py).
 * @param programs Programs that the training image must have.
 */
export function commandLine(
  experiment: Experiment,
  overrides: readonly Override[],
  programs: readonly string[],
): string[] {
  const { verl, trainer, tier, rehearsal } = experiment;
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
  const program = rehearsal ? [rehearsalProgram, entry] : [entry];
  const command = ["python3", "-m", ...program, ...configuration, ...overrides.map(formatOverride)];
  return verl.distribution === "stock" ? checked(experiment, programs, command) : command;
}

/** Of the training image, and stands before an entry point of verl's (training/src/swe_rl_training/rehearsal). */
const rehearsalProgram = "swe_rl_training.rehearsal";

const checkProgram = ["python3", "-m", "swe_rl_training.check"];

function checked(
  { ray, verl }: Experiment,
  programs: readonly string[],
  command: readonly string[],
): string[] {
  const releases = ["--ray", ray.version, "--verl", verl.version];
  const needed = programs.flatMap((program) => ["--program", program]);
  return [...checkProgram, ...releases, ...needed, "--", ...command];
}

/** The check with which a command line begins, alone, and of the tasks' images too. */
export function checkAlone(argv: readonly string[]): string[] {
  return [...checkProgram, "--only", "--images", ...argv.slice(checkProgram.length)];
}

/** The asynchronous names are those of the fork's public successor; the fork's own are not published. */
function forkConfiguration({ tier, verl }: Experiment): string {
  if (tier === "single-node") return "harbor_verl_sync";
  return verl.engine === "megatron" ? "lego_rl_fully_async_megatron" : "lego_rl_fully_async_fsdp";
}
