import type { SettingPath } from "./problem.ts";
import type { RuleId } from "../../rules/catalogue.ts";

/** Rules that the schema checks, by the setting whose form they decide. */
const rules: readonly (readonly [setting: string, rule: RuleId])[] = [
  ["harbor_agent.host_path_mounts", "C-42"],
  ["sandbox.memory_limit_factor", "C-43"],
  ["harbor_agent.pod_name_prefix", "C-44"],
  ["credentials.wandb_api_key", "C-47"],
  ["infrastructure.anthropic_api_key", "C-47"],
  ["model.model_path", "C-48"],
  ["data.data_dir", "C-48"],
  ["data.train_index", "C-48"],
  ["data.val_index", "C-48"],
];

/**
 * The rule of its own that a refused setting breaks, if there is one.
 * @param found What was written; a missing setting breaks none of these.
 */
export function ruleOf(path: SettingPath, found: unknown): RuleId | undefined {
  const setting = path.join(".");
  const match = rules.find(([key]) => setting === key || setting.startsWith(`${key}.`));
  return found === undefined || found === null ? undefined : match?.[1];
}
