import { catalogue } from "../config/rules/catalogue.ts";
import type { Finding, Severity } from "./finding.ts";

/** `12 ok, 1 warnings, 0 fatal, 2 unknown`, and what was waived. */
export function count(findings: readonly Finding[]): string {
  const open = findings.filter(({ waived }) => waived === undefined);
  const waived = findings.length - open.length;
  const of = (severity: Severity) => open.filter((finding) => finding.severity === severity).length;
  const counts = `${of("ok")} ok, ${of("warn")} warnings, ${of("fatal")} fatal, ${of("unknown")} unknown`;
  return waived > 0 ? `${counts}, ${waived} waived` : counts;
}

/** One line for a finding: id, what was found, what was expected, what would follow, what to do. */
export function describe(finding: Finding): string {
  const { id, found, expected, consequence, remedy, waived } = finding;
  const text =
    catalogue[id].checkedBy === "plan"
      ? found
      : `${id}: ${found}; expected ${expected}. Otherwise: ${consequence}. To do: ${remedy}`;
  return waived === undefined ? text : `${text} (waived: ${waived})`;
}
