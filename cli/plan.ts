/** `npm run -s plan -- STACK [--json]`: the Plan of a stack, without an engine or a cluster. */
import { parseArgs } from "node:util";
import { summarize } from "../plan/summary/summary.ts";
import { planAsJson } from "../plan/summary/environment.ts";
import { ConfigError } from "../config/load/problem.ts";
import { decide, selectStack } from "./decide.ts";

const usage = `Usage: npm run -s plan -- STACK [--site SITE] [--json] [--root DIRECTORY]

Prints every decision about a stack: topology, memory, ports, command line, environment (secrets masked).
Needs no cluster and no Pulumi engine.

  STACK      name of the stack; its settings are config/STACK.yaml and config/sites/lab.yaml,
             unless stacks/Pulumi.STACK.yaml names others (swe-rl:experiment, swe-rl:site)
  --site     another site than the stack's own
  --json     the whole Plan as JSON
  --root     directory with config/ and stacks/ (default: this project)

Exit codes: 0 printed, 1 the settings are wrong, 2 wrong usage.
`;

function main(): number {
  let stack: string | undefined;
  let options: { json?: boolean; help?: boolean; root?: string; site?: string };
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        root: { type: "string" },
        site: { type: "string" },
      },
    });
    options = values;
    [stack] = positionals;
    if (positionals.length > 1) throw new Error(`unexpected argument ${positionals[1] ?? ""}`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  if (stack === undefined) {
    process.stderr.write(`The name of a stack is missing.\n\n${usage}`);
    return 2;
  }
  const root = options.root ?? `${import.meta.dirname}/..`;
  try {
    const { settings, plan, warnings } = decide(root, selectStack(root, stack, options.site));
    for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
    const output = options.json
      ? JSON.stringify(planAsJson(plan), null, 2)
      : `Plan of stack ${stack} (site ${settings.siteName})\n\n${summarize(plan)}`;
    process.stdout.write(`${output}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

process.exitCode = main();
