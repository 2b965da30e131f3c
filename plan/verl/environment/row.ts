import type { EnvironmentVariable } from "./types.ts";

/** Source of values that no setting decides. */
export const noSetting = "docs/decisions.md#variables-without-a-setting";

type Value = string | number | boolean | null | undefined;

/** The contract's spelling: booleans as Python writes them; empty values are not exported, so that upstream defaults apply. */
export function row(name: string, value: Value, source: string): EnvironmentVariable[] {
  if (value === undefined || value === null || value === "") return [];
  const text = typeof value === "boolean" ? (value ? "True" : "False") : String(value);
  return [{ name, value: text, source }];
}
