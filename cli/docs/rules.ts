import { type Judges, ruleById, type RuleId, ruleIds } from "../../rules/index.ts";
import { exempt } from "../../rules/exempt.ts";

import { code, linked, markdownTable, sourceLinks, sourceSeparator } from "./markdown.ts";

/** Constraints of the original system: C-01 to C-50. */
export const constraintIds: readonly string[] = Array.from(
  { length: 50 },
  (_, i) => `C-${String(i + 1).padStart(2, "0")}`,
);

const judgedBy: Readonly<Record<Judges, string>> = {
  files: "the files' schema",
  settings: "the settings and the Plan",
  cluster: "preflight, with what the cluster says",
  docker: "preflight, with what the Docker daemon says",
};

/** The rules that a constraint has become. */
export function rulesOf(constraint: string): RuleId[] {
  return ruleIds.filter((id) => id === constraint || namesAnchor(ruleById[id].source, constraint));
}

/** Whether a source names the paragraph of docs/decisions.md about a constraint. */
function namesAnchor(source: string, constraint: string): boolean {
  return source.split(sourceSeparator).includes(`docs/decisions.md#${constraint.toLowerCase()}`);
}

/** docs/rules.md */
export function rulesPage(): string {
  const rules = ruleIds.map((id) => ruleById[id]);
  const covered = constraintIds.filter((id) => rulesOf(id).length > 0);
  const rest = constraintIds.filter((id) => !covered.includes(id));
  const fatal = rules.filter(({ severity }) => severity === "fatal").length;
  return `${[
    "# Rules",
    "Made by `npm run docs` from the catalogue in `rules/`; do not edit.",
    "`pulumi preview`, `pulumi up` and `npm run preflight -- -s STACK` check every rule before anything is created. A " +
      "broken rule is `fatal`, which ends the command, or `warn`. What could not be checked is `unknown`: shown, and never " +
      "taken for fine. `preflight: { strict: true }` in the experiment makes every warning fatal; `preflight: { waive: [{ " +
      "rule: C-28, reason: … }] }` goes past a rule, and every report says so.",
    `${rules.length} rules, ${fatal} of them fatal. Of the ${constraintIds.length} constraints of the original system ` +
      `(\`C-…\`, [decisions.md](decisions.md#constraints)) ${covered.length} are rules; the other ${rest.length} stand below, with the reason.`,
    markdownTable(
      [
        "Id",
        "What must hold",
        "Severity",
        "If broken",
        "To do",
        "Source",
        "Checked by",
        "Waivable",
      ],
      ruleIds.map(row),
    ),
    "## Constraints that are no rule",
    markdownTable(
      ["Id", "Why not"],
      rest.map((id) => [linked(id), linked(exempt[id] ?? "")]),
    ),
  ].join("\n\n")}\n`;
}

function row(id: RuleId): string[] {
  const rule = ruleById[id];
  return [
    code(id),
    rule.title,
    rule.severity,
    rule.consequence,
    rule.remedy,
    sourceLinks(rule.source),
    judgedBy[rule.judges],
    rule.unwaivable === undefined ? "yes" : `no: ${rule.unwaivable}`,
  ];
}
