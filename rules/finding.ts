/** What the checks of all rules found. */
import type { Location, Problem, SettingPath } from "../config/load/problem.ts";
import { isRuleId, type RuleEntry, ruleById, type RuleId } from "./index.ts";
import { notRead, type Severity, type Verdict } from "./rule.ts";

/** What one check found. */
export interface Finding {
  readonly id: RuleId;
  readonly severity: Severity;
  /** The value found. */
  readonly found: string;
  /** What a run needs. */
  readonly expected: string;
  /** What would happen if the run started anyway. Empty when the rule is met. */
  readonly consequence: string;
  /** What to do about it. Empty when the rule is met. */
  readonly remedy: string;
  /** The setting in question, and its place. */
  readonly path?: SettingPath | undefined;
  readonly location?: Location | undefined;
  /** Why the experiment waives the rule. */
  readonly waived?: string | undefined;
}

/** A verdict with everything that it leaves to its rule. */
export function findingOf(
  { id, title, severity, consequence, remedy }: RuleEntry,
  verdict: Verdict,
): Finding {
  const text =
    verdict.severity === "ok" ? { consequence: "", remedy: "" } : { consequence, remedy };
  return { id, severity, expected: title, ...text, ...verdict };
}

export function met(id: RuleId, found: string): Finding {
  return findingOf(ruleById[id], { severity: "ok", found });
}

/** What a broken rule says beyond the catalogue: what was found, and what is more precise here. */
export type Breach = Pick<Finding, "found"> & Partial<Omit<Finding, "id" | "waived">>;

export function broken(id: RuleId, breach: Breach): Finding {
  return { ...findingOf(ruleById[id], { found: breach.found }), ...breach };
}

/** The check could not be made. @param expected Default: what the catalogue says. */
export function unknown(id: RuleId, reason: string, expected?: string): Finding {
  return findingOf(ruleById[id], notRead(reason, expected));
}

/**
 * A problem that the loader found.
 * @param otherwise The rule that it breaks if no rule is about its setting; the message then says all that there is to say.
 */
export function fromProblem(
  { rule, path, message, location }: Problem,
  severity: Severity,
  otherwise: RuleId = "C-36",
): Finding {
  const id = rule !== undefined && isRuleId(rule) ? rule : otherwise;
  return broken(id, { found: message, severity, path, location, consequence: "", remedy: "" });
}
