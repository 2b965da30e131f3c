import { excerpt } from "../config/load/excerpt.ts";
import { formatPath } from "../config/load/problem.ts";
import { ruleById } from "../rules/index.ts";
import type { Finding } from "../rules/finding.ts";
import type { Severity } from "../rules/rule.ts";

/** How a finding is shown: by its severity, or as waived. */
type Standing = Severity | "waived";

/** Worst first; what is all right is only counted. */
const shown: readonly Standing[] = ["fatal", "warn", "unknown", "waived"];

function standingOf({ severity, waived }: Finding): Standing {
  return waived === undefined ? severity : "waived";
}

/** How many findings stand how. */
export function countsOf(findings: readonly Finding[]): Record<Standing, number> {
  const counts = { ok: 0, warn: 0, fatal: 0, unknown: 0, waived: 0 };
  for (const finding of findings) counts[standingOf(finding)] += 1;
  return counts;
}

/** `12 ok, 1 warnings, 0 fatal, 2 unknown`, and what was waived. */
export function count(findings: readonly Finding[]): string {
  const { ok, warn, fatal, unknown, waived } = countsOf(findings);
  const counts = `${ok} ok, ${warn} warnings, ${fatal} fatal, ${unknown} unknown`;
  return waived > 0 ? `${counts}, ${waived} waived` : counts;
}

/** A finding with its place, as one line. */
export function describe(finding: Finding): string {
  const { waived } = finding;
  const text = `${placeOf(finding)}${message(finding)}`;
  return waived === undefined ? text : `${text} (waived: ${waived})`;
}

/** A finding without its place: what was found, what would follow, what to do. */
export function message({ id, severity, found, expected, consequence, remedy }: Finding): string {
  if (["cluster", "docker"].includes(ruleById[id].judges)) {
    if (severity === "unknown") return `${found}; expected ${expected}`;
    return `${found}; expected ${expected}. Otherwise: ${consequence}. To do: ${remedy}`;
  }
  // The loader's messages say it all.
  if (remedy === "") return found;
  const follows = severity === "unknown" ? "" : `: ${consequence}`;
  return `${found}${follows}. ${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}.`;
}

/** `config/exp-42.yaml:12:7 vllm.gen_tp: ` */
function placeOf({ location, path = [] }: Finding): string {
  const place = location ? `${location.file}:${location.line}:${location.column} ` : "";
  return path.length > 0 ? `${place}${formatPath(path)}: ` : place;
}

/**
 * The counts, and a line for everything that is not all right, the worst first; checks that could not be made for one reason share a line.
 * @param root Folder of the project: below each finding about a file stands the line with a caret.
 * @default no such lines
 */
export function report(findings: readonly Finding[], root?: string): string {
  const rows = shown.flatMap((standing) =>
    findings.filter((finding) => standingOf(finding) === standing),
  );
  // What is about a setting keeps its place.
  const unmade = rows.filter((one) => standingOf(one) === "unknown" && !one.location);
  const reasons = Map.groupBy(unmade, ({ found }) => found);
  const together = [...reasons.values()].filter((alike) => alike.length >= fewest);
  return [
    `preflight: ${count(findings)}`,
    ...rows
      .filter((finding) => !together.some((alike) => alike.includes(finding)))
      .flatMap((finding) => [
        `  ${standingOf(finding).padEnd(7)}  ${finding.id}: ${describe(finding)}`,
        ...excerptOf(finding, root).map((line) => `${" ".repeat(11)}${line}`),
      ]),
    ...together.map((alike) => {
      const ids = [...new Set(alike.map(({ id }) => id))].join(", ");
      return `  unknown  ${alike.length} checks: ${alike[0]?.found ?? ""} (${ids})`;
    }),
  ].join("\n");
}

/** Checks that could not be made for the same reason share a line from this number on. */
const fewest = 3;

/** The place of a finding in its file; empty without a root. */
export function excerptOf(
  { location, path = [] }: Finding,
  root: string | undefined,
): readonly string[] {
  return root === undefined || !location ? [] : excerpt(root, location, path);
}
