import type { Problem, SettingPath } from "../config/load/problem.ts";
import type { OldRuleId } from "../rules/old/catalogue.ts";

/** Collects what a Plan's parts find wrong, so that all of it is reported at once. */
export class Problems {
  readonly errors: RuleProblem[] = [];
  readonly warnings: RuleProblem[] = [];
  readonly unknowns: RuleProblem[] = [];

  /** The settings contradict each other; `message` says what was found, what it would lead to, what to do. */
  error(rule: OldRuleId, path: SettingPath, message: string): void {
    this.errors.push({ rule, path, message });
  }

  /** The run can start, but probably not as meant. */
  warn(rule: OldRuleId, path: SettingPath, message: string): void {
    this.warnings.push({ rule, path, message });
  }

  /** What the rule needs is not known, so that nobody can say whether it holds. */
  unknown(rule: OldRuleId, path: SettingPath, message: string): void {
    this.unknowns.push({ rule, path, message });
  }

  /** Reports the rule unless the divisor divides the value. */
  divides(rule: OldRuleId, { path, divisor, value }: Division, message: string): void {
    if (value % divisor !== 0) this.error(rule, path, message);
  }
}

/** A problem by which a rule of the catalogue is broken, or cannot be judged. */
export interface RuleProblem extends Problem {
  readonly rule: OldRuleId;
}

interface Division {
  readonly path: SettingPath;
  readonly divisor: number;
  readonly value: number;
}
