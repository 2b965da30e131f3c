/**
 * `npm run experiment -- new | list | show | diff`: convenience around the experiment files in config/.
 * It never runs Pulumi; it writes at most one YAML file.
 */
import { complain, runCommand, say, UsageError } from "./command.ts";
import type { Command } from "./experiment/command.ts";
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

const [name, ...args] = process.argv.slice(2);
const command = name === undefined ? undefined : commands.get(name);
if (command === undefined) {
  await runCommand(usage, () => {
    throw new UsageError(
      name === undefined ? "The command is missing." : `There is no command ${name}.`,
    );
  });
} else {
  await runCommand(command.usage, () => {
    const { output, warnings } = command.run(args);
    for (const warning of warnings) complain(`warning: ${warning}`, 0);
    return say(output);
  });
}
