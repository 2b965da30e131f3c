import type { Location, Problem, SettingPath } from "../config/load/problem.ts";
import { catalogue, type RuleId } from "./catalogue.ts";

/** `unknown`: the check could not be made. It is shown, and never counts as passed. */
export type Severity = "ok" | "warn" | "fatal" | "unknown";

/** What one check found. */
export interface Finding {
  readonly id: RuleId;
  readonly severity: Severity;
  /** The value found. */
  readonly found: string;
  /** What a run needs. */
  readonly expected: string;
  /** What would happen if one went on. Empty when all is well. */
  readonly consequence: string;
  /** What to do about it. Empty when all is well. */
  readonly remedy: string;
  /** The setting that it is about, and where that stands. */
  readonly path?: SettingPath | undefined;
  readonly location?: Location | undefined;
  /** Why the user goes on all the same. */
  readonly waived?: string | undefined;
}

/** Something read from the cluster, or the reason why it could not be read. */
export type Fact<T> =
  { readonly known: true; readonly value: T } | { readonly known: false; readonly reason: string };

export function met(id: RuleId, found: string): Finding {
  return { id, severity: "ok", found, expected: catalogue[id].title, consequence: "", remedy: "" };
}

/** What a broken rule says beyond the catalogue: what was found, and what is more precise here. */
export type Breach = Pick<Finding, "found"> & Partial<Omit<Finding, "id" | "waived">>;

export function broken(id: RuleId, breach: Breach): Finding {
  const { title: expected, severity, consequence, remedy } = catalogue[id];
  return { id, severity, expected, consequence, remedy, ...breach };
}

/** The check could not be made. @param expected Default: what the catalogue says. */
export function unknown(id: RuleId, reason: string, expected = catalogue[id].title): Finding {
  return {
    id,
    severity: "unknown",
    found: `not known: ${reason}`,
    expected,
    consequence: "not checked",
    remedy: "make it readable for the account that runs Pulumi, or check it by hand",
  };
}

/**
 * A problem of the settings, whose message already says what would follow and what to do.
 * @param otherwise The rule that it breaks if it names none.
 */
export function fromProblem(
  { rule, path, message, location }: Problem,
  severity: Severity,
  otherwise: RuleId = "C-36",
): Finding {
  return broken(rule ?? otherwise, { found: message, severity, path, location });
}
