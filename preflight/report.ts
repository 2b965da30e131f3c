import type { Finding, Severity } from "./finding.ts";

/** `12 ok, 1 warning, 0 fatal, 2 unknown` */
export function count(findings: readonly Finding[]): string {
  const of = (severity: Severity) =>
    findings.filter((finding) => finding.severity === severity).length;
  return `${of("ok")} ok, ${of("warn")} warnings, ${of("fatal")} fatal, ${of("unknown")} unknown`;
}

/** One line for a finding: id, what was found, what was expected, what would follow, what to do. */
export function describe({ id, found, expected, consequence, remedy }: Finding): string {
  return `${id}: ${found}; expected ${expected}. Otherwise: ${consequence}. To do: ${remedy}`;
}
