import type { Plan } from "../../config/plan/plan.ts";
import type { Facts } from "../facts/facts.ts";
import type { Finding } from "../finding.ts";

/** One check: pure, from the Plan and what is known of the cluster. */
export type Rule = (plan: Plan, facts: Facts) => Finding[];
