/**
 * `npm run experiment -- new | list | show | diff`: convenience around the experiment files in config/.
 * It never runs Pulumi; it writes at most one YAML file.
 */
import { ConfigError } from "../config/load/problem.ts";
import { type Command, CommandError, UsageError } from "./experiment/command.ts";
import { diffCommand } from "./experiment/diff.ts";
import { listCommand } from "./experiment/list.ts";
import { newCommand } from "./experiment/new.ts";
import { showCommand } from "./experiment/show.ts";

const commands = new Map<string, Command>([
  ["new", newCommand],
  ["list", listCommand],
  ["show", showCommand],
  ["diff", diffCommand],
]);

const usage = `Usage: npm run -s experiment -- COMMAND …

Writes and compares experiment files (config/*.yaml). It never runs Pulumi and needs no cluster.

Commands:
${[...commands].map(([name, { summary }]) => `  ${name.padEnd(6)} ${summary}`).join("\n")}

npm run -s experiment -- COMMAND --help says more. Exit codes: 0 done, 1 the settings are wrong, 2 wrong usage.
`;

function main([name, ...args]: readonly string[]): number {
  if (name === "--help" || name === "-h") return say(usage);
  const command = name === undefined ? undefined : commands.get(name);
  if (command === undefined) {
    const wrong = name === undefined ? "The command is missing." : `There is no command ${name}.`;
    return complain(`${wrong}\n\n${usage}`, 2);
  }
  if (args.includes("--help") || args.includes("-h")) return say(command.usage);
  try {
    const { output, warnings } = command.run(args);
    for (const warning of warnings) complain(`warning: ${warning}\n`, 0);
    return say(`${output}\n`);
  } catch (error) {
    if (error instanceof UsageError) return complain(`${error.message}\n\n${command.usage}`, 2);
    if (error instanceof ConfigError || error instanceof CommandError) {
      return complain(`${error.message}\n`, 1);
    }
    throw error;
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain(text: string, status: number): number {
  process.stderr.write(text);
  return status;
}

process.exitCode = main(process.argv.slice(2));
