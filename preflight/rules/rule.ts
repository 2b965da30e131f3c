import type { Settings } from "../../config/load.ts";
import type { Plan } from "../../config/plan/plan.ts";
import type { Facts } from "../facts/facts.ts";
import type { Finding } from "../finding.ts";

/** What a check may look at. */
export interface Subject {
  readonly settings: Settings;
  readonly plan: Plan;
  readonly facts: Facts;
}

/** The check of one rule: pure. No finding: the rule does not concern this stack. */
export type Rule = (subject: Subject) => Finding[];
