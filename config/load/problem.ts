/** What is wrong with a configuration, where, and how it is shown. */

/** Place in a configuration file; line and column count from 1. */
export interface Location {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type SettingPath = readonly (string | number)[];

export interface Problem {
  /** Id of the rule that it breaks, if one is about the setting. */
  readonly rule?: string | undefined;
  /** The setting, for example `["vllm", "gen_tp"]`; empty when the whole file is meant. */
  readonly path: SettingPath;
  /** What was found, what is allowed, what it would lead to, what to do. */
  readonly message: string;
  readonly location?: Location | undefined;
  /** Lines to show below the message: the place in its file. */
  readonly excerpt?: readonly string[];
}

/** The settings of a stack cannot be used. Carries every problem of every file. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(describeProblem).join("\n"));
    this.problems = problems;
  }
}

/** `C-02 config/exp-42.yaml:12:7 vllm.gen_tp: …`, and the place in the file below it. */
export function describeProblem(problem: Problem): string {
  const { location } = problem;
  const rule = problem.rule ? `${problem.rule} ` : "";
  const place = location ? `${location.file}:${location.line}:${location.column} ` : "";
  const setting = problem.path.length > 0 ? `${formatPath(problem.path)}: ` : "";
  const lines = (problem.excerpt ?? []).map((line) => `\n  ${line}`);
  return `${rule}${place}${setting}${problem.message}${lines.join("")}`;
}

export function formatPath(path: SettingPath): string {
  return path
    .map((part, i) => (typeof part === "number" ? `[${part}]` : i ? `.${part}` : part))
    .join("");
}
