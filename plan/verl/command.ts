import type { Experiment } from "../../config/schema/experiment.ts";
import { looksSecret } from "../../config/schema/secret-name.ts";
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
  for (const override of own) checkOwn(override, planned, problems);
  checkRelease(inputs.experiment, problems);
  return [...planned, ...own];
}

function checkOwn(
  { key, value }: Override,
  planned: readonly Override[],
  problems: Problems,
): void {
  const path = ["verl", "overrides", key];
  if (looksSecret(key) && value !== null && value !== "") {
    problems.error(
      "C-47",
      path,
      "looks like a credential, and would stand in the stack's state and in pod specifications. Keep it out of the file; the tracker's key is a stack secret: pulumi config set --secret swe-rl:wandbApiKey",
    );
  }
  const twin = planned.find((override) => override.key === key);
  if (!twin) return;
  // Some keys are there because of a rule, and nothing else decides them.
  const rule = twin.source === "C-14" && twin.value !== value ? "C-14" : "override-owned";
  const reason =
    rule === "C-14" ? `is ${String(value)}, which crashes VeOmni's backward pass: ` : "";
  problems.error(
    rule,
    path,
    `${reason}the Plan sets this key itself, from ${twin.source}. Change that instead.`,
  );
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
