/** The frame of every command: arguments, help, messages and exit codes. */
import { join } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { ConfigError } from "../config/load/problem.ts";

/** The command line is wrong: exit code 2, with the usage. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The command line is right, but the command cannot do it: exit code 1, with this one message. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** The directory with config/ and stacks/, unless `--root` names another. */
export const projectRoot = join(import.meta.dirname, "..");

type Options = NonNullable<ParseArgsConfig["options"]>;

export interface CommandLine<O extends Options> {
  readonly options: O;
  /** Names of the operands, in order; all are required. */
  readonly operands?: readonly string[];
}

export type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O }>>["values"];

/** @throws {UsageError} If an option is unknown, or the operands are not those that the command takes. */
export function parseCommandLine<O extends Options>(
  args: readonly string[],
  { options, operands = [] }: CommandLine<O>,
): { readonly values: Values<O>; readonly operands: readonly string[] } {
  const { values, positionals } = parseOptions(args, options);
  const missing = operands[positionals.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing.`);
  const surplus = positionals[operands.length];
  if (surplus !== undefined) throw new UsageError(`Unexpected argument ${surplus}.`);
  return { values, operands: positionals };
}

function parseOptions<O extends Options>(args: readonly string[], options: O) {
  try {
    const config = { args: [...args], allowPositionals: true, options } as const;
    return parseArgs(config);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Writes to standard output. @returns The exit code. */
export function say(text: string, code = 0): number {
  process.stdout.write(`${text.trimEnd()}\n`);
  return code;
}

/** Writes to standard error. @returns The exit code. */
export function complain(text: string, code: number): number {
  process.stderr.write(`${text.trimEnd()}\n`);
  return code;
}

/**
 * Runs a command and sets the exit code that its errors deserve; `--help` prints the usage.
 * @param run Returns the exit code.
 */
export async function runCommand(
  usage: string,
  run: (args: readonly string[]) => number | Promise<number>,
): Promise<void> {
  const args = process.argv.slice(2);
  process.exitCode =
    args.includes("--help") || args.includes("-h")
      ? say(usage)
      : await exitCodeOf(usage, () => run(args));
}

/** The exit code of `run`, or of the error that ends it. */
export async function exitCodeOf(
  usage: string,
  run: () => number | Promise<number>,
): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof UsageError) return complain(`${error.message}\n\n${usage}`, 2);
    if (error instanceof ConfigError || error instanceof CommandError) {
      return complain(error.message, 1);
    }
    throw error;
  }
}
