import type { Settings } from "../../config/load/load.ts";
import type { Plan } from "../../plan/plan.ts";
import type { Facts } from "../../preflight/facts/facts.ts";
import type { Finding } from "../finding.ts";

/** What a check may look at. */
export interface Subject {
  readonly settings: Settings;
  readonly plan: Plan;
  readonly facts: Facts;
}

/** The check of one rule: pure. No finding: the rule does not concern this stack. */
export type Rule = (subject: Subject) => Finding[];
