import type { RuleText as Text } from "../rule.ts";

/** A rule whose check still stands elsewhere. */
export interface RuleText extends Omit<Text, "id"> {
  readonly checkedBy: "schema" | "plan" | "preflight";
}
