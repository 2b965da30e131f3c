/** What the commands of `npm run experiment` have in common. */
import type { ParseArgsConfig } from "node:util";
import { parseCommandLine, projectRoot, type Values } from "../command.ts";

export interface Answer {
  readonly output: string;
  /** One line each, for standard error. */
  readonly warnings: readonly string[];
}

export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  readonly usage: string;
  /**
   * @throws {UsageError} If the arguments are wrong.
   * @throws {CommandError | ConfigError} If the settings are.
   */
  run(args: readonly string[]): Answer;
}

/** Every option that some command takes. */
const options = {
  root: { type: "string" },
  site: { type: "string" },
  json: { type: "boolean" },
  from: { type: "string" },
  set: { type: "string", multiple: true },
} as const satisfies ParseArgsConfig["options"];

/** The line of the usage that explains `--root`, which every command takes. */
export const rootOption =
  "  --root DIRECTORY     directory with config/ and stacks/ (default: this project)";

/** Parses the arguments of a command that takes these operands and options (and `--root`) and no others. */
export function parse(
  args: readonly string[],
  operands: readonly string[],
  allowed: readonly (keyof typeof options)[],
): {
  values: Partial<Values<typeof options>>;
  positionals: readonly string[];
  root: string;
} {
  const taken = Object.fromEntries(
    [...allowed, "root" as const].map((name) => [name, options[name]]),
  );
  const parsed = parseCommandLine(args, { options: taken, operands });
  const values = parsed.values as Partial<Values<typeof options>>;
  return { values, positionals: parsed.operands, root: values.root ?? projectRoot };
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
