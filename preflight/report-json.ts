import { formatPath } from "../config/load/problem.ts";
import { ruleById } from "../rules/index.ts";
import type { Finding } from "../rules/finding.ts";
import { countsOf } from "./report.ts";

export interface ReportInputs {
  readonly stack: string;
  readonly site: string;
  readonly findings: readonly Finding[];
  readonly isolation: string;
}

/** The report for programs. Its keys are a contract: every key is always there, null where it does not apply. */
export function reportAsJson({ stack, site, findings, isolation }: ReportInputs): object {
  return {
    stack,
    site,
    counts: countsOf(findings),
    findings: findings.map((finding) => ({
      rule: finding.id,
      severity: finding.severity,
      waived: finding.waived ?? null,
      setting: finding.path && finding.path.length > 0 ? formatPath(finding.path) : null,
      file: finding.location?.file ?? null,
      line: finding.location?.line ?? null,
      column: finding.location?.column ?? null,
      found: finding.found,
      expected: finding.expected,
      consequence: finding.consequence,
      remedy: finding.remedy,
      source: ruleById[finding.id].source,
    })),
    isolation,
  };
}
