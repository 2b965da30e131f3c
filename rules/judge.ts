import { type Finding, findingOf } from "./finding.ts";
import { checkedSettingsRules, ruleById } from "./index.ts";
import type { Decided } from "./rule.ts";

/** What every rule about settings and Plan finds, in the order of the catalogue. */
export function judgeSettings(decided: Decided): Finding[] {
  return checkedSettingsRules.flatMap(({ id, check }) =>
    Array.from(check(decided), (verdict) => findingOf(ruleById[id], verdict)),
  );
}
