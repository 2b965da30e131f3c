import { catalogue } from "../config/rules/catalogue.ts";
import type { Experiment } from "../config/schema/experiment.ts";
import type { Finding } from "./finding.ts";

/** Applies what the experiment says of rules: waived findings keep their severity and say why; strict knows no warnings. */
export function settle(
  findings: readonly Finding[],
  { strict, waive }: Experiment["preflight"],
): Finding[] {
  return findings.map((finding) => {
    if (finding.severity === "ok") return finding;
    const waiver = waive.find(({ rule }) => rule === finding.id);
    if (waiver && catalogue[finding.id].unwaivable === undefined) {
      return { ...finding, waived: waiver.reason };
    }
    return strict && finding.severity === "warn" ? { ...finding, severity: "fatal" } : finding;
  });
}
