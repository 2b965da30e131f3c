/** The experiment's section `preflight`: how strict the checks are, and which rules the user goes past. */
import { z } from "zod";
import { catalogue, ruleIds } from "../../rules/catalogue.ts";

const waiver = z
  .strictObject({
    rule: z.enum(ruleIds).describe("Id of the rule, as the report and docs/rules.md have it."),
    reason: z
      .string()
      .min(1, "must say why, for whoever reads the report later")
      .describe("Why the run goes on all the same; every report shows it."),
  })
  .superRefine(({ rule }, context) => {
    const { unwaivable } = catalogue[rule];
    if (unwaivable === undefined) return;
    context.addIssue({
      code: "custom",
      path: ["rule"],
      message: `${rule} cannot be waived: ${unwaivable}. Mend what it reports`,
    });
  });

export const preflight = z.strictObject({
  strict: z.boolean().default(false).describe("Treat every warning as fatal."),
  waive: z.array(waiver).default([]).describe("Rules that this experiment goes past."),
});
