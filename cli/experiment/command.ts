/** What the commands of `npm run experiment` have in common. */
import { join } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";

/** The command line is wrong: exit code 2, with the usage. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The command line is right, but cannot be done: exit code 1, with this one message. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

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

const projectRoot = join(import.meta.dirname, "../..");

/** Every option that some command takes. */
const options = {
  root: { type: "string" },
  site: { type: "string" },
  json: { type: "boolean" },
  from: { type: "string" },
  set: { type: "string", multiple: true },
} as const satisfies ParseArgsConfig["options"];

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];

/** The line of the usage that explains `--root`, which every command takes. */
export const rootOption =
  "  --root DIRECTORY     directory with config/ and stacks/ (default: this project)";

/** Parses the arguments of a command that takes these operands and options (and `--root`) and no others. */
export function parse(
  args: readonly string[],
  operands: readonly string[],
  allowed: readonly (keyof typeof options)[],
): { values: Values; positionals: string[]; root: string } {
  const { values, positionals } = parseStrictly(args, [...allowed, "root"]);
  const missing = operands[positionals.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing.`);
  const surplus = positionals[operands.length];
  if (surplus !== undefined) throw new UsageError(`Unexpected argument ${surplus}.`);
  return { values, positionals, root: values.root ?? projectRoot };
}

function parseStrictly(args: readonly string[], allowed: readonly (keyof typeof options)[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: Object.fromEntries(allowed.map((name) => [name, options[name]])),
    });
    return { values: values as Values, positionals };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
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
