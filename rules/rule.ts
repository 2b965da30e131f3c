/** What a rule says of itself, wherever it is checked. */
export interface RuleText {
  /** What must hold. */
  readonly title: string;
  /** How bad it is if it does not: `fatal` ends the command before a resource exists. */
  readonly severity: "fatal" | "warn";
  /** What would happen if one went on. */
  readonly consequence: string;
  /** What to do about it. */
  readonly remedy: string;
  /** Where the rule comes from: an issue, a document, a measurement. */
  readonly source: string;
  /** Who checks it: the schema of the files, the Plan, or preflight with what the cluster says. */
  readonly checkedBy: "schema" | "plan" | "preflight";
  /** Why nobody may waive it. Omitted: it may be waived, with a reason. */
  readonly unwaivable?: string;
}
