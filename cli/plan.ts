/** `npm run -s plan -- STACK [--json]`: the Plan of a stack, without an engine or a cluster. */
import { summarize, planAsJson } from "../plan/summary/index.ts";
import { complain, parseCommandLine, projectRoot, runCommand, say } from "./command.ts";
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

await runCommand(usage, (args) => {
  const { values, operands } = parseCommandLine(args, {
    options: { json: { type: "boolean" }, root: { type: "string" }, site: { type: "string" } },
    operands: ["STACK"],
  });
  const [stack = ""] = operands;
  const root = values.root ?? projectRoot;
  const { settings, plan, warnings } = decide(root, selectStack(root, stack, values.site));
  for (const warning of warnings) complain(`warning: ${warning}`, 0);
  return say(
    values.json
      ? JSON.stringify(planAsJson(plan), null, 2)
      : `Plan of stack ${stack} (site ${settings.siteName})\n\n${summarize(plan)}`,
  );
});
