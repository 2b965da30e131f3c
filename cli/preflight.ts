/** `npm run -s preflight -- -s STACK`: what `pulumi preview` checks, for systems without a Pulumi engine. */
import { load, type Selection } from "../config/load/load.ts";
import { ConfigError } from "../config/load/problem.ts";
import type { Finding } from "../rules/finding.ts";
import { preflightDespite } from "../preflight/despite.ts";
import { findingsOf, isFatal } from "../preflight/evaluate.ts";
import { preflight, type PreflightOptions } from "../preflight/preflight.ts";
import { report } from "../preflight/report.ts";
import { reportAsJson } from "../preflight/report-json.ts";
import { parseCommandLine, projectRoot, runCommand, say, UsageError } from "./command.ts";
import { selectStack } from "./decide.ts";

const usage = `Usage: npm run -s preflight -- -s STACK [--site SITE] [--offline] [--strict] [--json] [--root DIRECTORY]

Checks the settings of a stack, and the cluster of its site, against every rule (docs/rules.md). Changes nothing, and
needs no Pulumi engine.

  -s, --stack  name of the stack; its settings are config/STACK.yaml and config/sites/lab.yaml, unless
               stacks/Pulumi.STACK.yaml names others (swe-rl:experiment, swe-rl:site)
  --site       another site: config/sites/SITE.yaml
  --offline    do not ask the cluster; what only it knows is unknown
  --strict     take every warning for fatal, as preflight.strict in the experiment does
  --json       stack, site, counts, findings and isolation as JSON, also where the settings cannot be read
  --root       directory with config/ and stacks/ (default: this project)

A secret of the stack counts as there if stacks/Pulumi.STACK.yaml has it; otherwise it is unknown.

Exit codes: 0 nothing fatal (warnings and unknowns are shown), 1 something is fatal, 2 wrong usage.
`;

await runCommand(usage, async (args) => {
  const { values } = parseCommandLine(args, {
    options: {
      stack: { type: "string", short: "s" },
      site: { type: "string" },
      offline: { type: "boolean", default: false },
      strict: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      root: { type: "string", default: projectRoot },
    },
  });
  const { stack, root, json } = values;
  if (stack === undefined) throw new UsageError("The name of a stack is missing: -s STACK");
  const { site, findings, isolation } = await check({ ...values, root, stack });
  const code = findings.some(isFatal) ? 1 : 0;
  return say(
    json
      ? JSON.stringify(reportAsJson({ stack, site, findings, isolation }), null, 2)
      : `Preflight of stack ${stack} (site ${site})\n\n${report(findings, root)}`,
    code,
  );
});

interface Wish extends PreflightOptions {
  readonly root: string;
  readonly stack: string;
  readonly site?: string | undefined;
}

interface Checked {
  readonly site: string;
  readonly findings: readonly Finding[];
  readonly isolation: string;
}

async function check({ root, stack, site, ...options }: Wish): Promise<Checked> {
  let selection: Selection | undefined;
  try {
    selection = selectStack(root, stack, site);
    const loaded = load(root, selection);
    const { findings, unproven } = await preflight(loaded, options);
    const isolation = unproven ?? "to be proven by the next update";
    return { site: loaded.settings.siteName, findings, isolation };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      site: selection?.site ?? site ?? "lab",
      findings: selection
        ? await preflightDespite(error, { root, selection }, options)
        : findingsOf(error),
      isolation: "unproven: the settings cannot be read",
    };
  }
}
