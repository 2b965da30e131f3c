/** The experiment's section `preflight`: how strict the checks are, and which rules the user goes past. */
import { z } from "zod";

const waiver = z.strictObject({
  rule: z
    .string()
    .meta({ ruleId: true })
    .describe("Id of the rule, as the report and docs/rules.md have it."),
  reason: z
    .string()
    .min(1, "must say why the run may start anyway")
    .describe("Why the run goes on all the same; every report shows it."),
});

export const preflight = z.strictObject({
  strict: z.boolean().default(false).describe("Treat every warning as fatal."),
  waive: z.array(waiver).default([]).describe("Rules that this experiment goes past."),
});
