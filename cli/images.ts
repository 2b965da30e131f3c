/** `npm run -s images -- STACK`: which images of the pre-pull the sandbox nodes could not get. Reads, and changes nothing. */
import { parseArgs } from "node:util";
import type { V1Pod } from "@kubernetes/client-node";
import { ConfigError } from "../config/load/problem.ts";
import { connect, read } from "../preflight/facts/client.ts";
import { decide, selectStack } from "./decide.ts";
import { report } from "./images/report.ts";
import { imageStates } from "./images/states.ts";

const usage = `Usage: npm run -s images -- STACK [--site SITE]

Reads from the stack's cluster which images of \`sandbox.prepull\` are on which sandbox nodes, and why others are not.

  STACK    name of the stack
  --site   another site than the stack's own

Exit codes: 0 every image is on every node, 1 some cannot be pulled or the settings are wrong, 2 wrong usage,
3 it is not known (yet).
`;

const root = `${import.meta.dirname}/..`;

async function main(): Promise<number> {
  let stack: string | undefined;
  let options: { help?: boolean; site?: string };
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { help: { type: "boolean", short: "h" }, site: { type: "string" } },
    });
    options = values;
    [stack] = positionals;
    if (positionals.length > 1) throw new Error(`unexpected argument ${positionals[1] ?? ""}`);
    if (stack === undefined && !options.help) throw new Error("The name of a stack is missing.");
  } catch (error) {
    return complain(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`, 2);
  }
  if (stack === undefined || options.help) return say(usage.trimEnd(), 0);
  try {
    return await show(stack, options.site);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return complain(`${error.message}\n`, 1);
  }
}

async function show(stack: string, site: string | undefined): Promise<number> {
  const { plan, settings } = decide(root, selectStack(root, stack, site));
  const { prepull, names } = plan;
  if (!prepull) {
    return complain(`Stack ${stack} pulls no images ahead: sandbox.prepull.enabled is false.\n`, 2);
  }
  const { site: where } = settings;
  if (where.kind === "docker") return complain(`Stack ${stack} is on a Docker host.\n`, 2);
  const pods = await read(async () => {
    const client = connect(where.cluster);
    try {
      return await client.list<V1Pod>(`/api/v1/namespaces/${names.namespaces.train}/pods`, {
        query: {
          labelSelector: `app.kubernetes.io/name=${prepull.name},swe-rl.dev/stack=${names.stack}`,
        },
      });
    } finally {
      client.close();
    }
  });
  if (!pods.known) return complain(`not known: ${pods.reason}\n`, 3);
  const { lines, code } = report(imageStates(pods.value));
  return say(lines.join("\n"), code);
}

function say(text: string, code: number): number {
  process.stdout.write(`${text}\n`);
  return code;
}

function complain(text: string, code: number): number {
  process.stderr.write(text);
  return code;
}

process.exitCode = await main();
