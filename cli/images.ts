/** `npm run -s images -- STACK`: which images of the pre-pull the sandbox nodes could not get. Reads, and changes nothing. */
import type { V1Pod } from "@kubernetes/client-node";
import { connect, read } from "../preflight/facts/client.ts";
import { complain, parseCommandLine, projectRoot, runCommand, say } from "./command.ts";
import { decide, selectStack } from "./decide.ts";
import { report } from "./images/report.ts";
import { imageStates } from "./images/states.ts";

const usage = `Usage: npm run -s images -- STACK [--site SITE] [--root DIRECTORY]

Reads from the stack's cluster which images of \`sandbox.prepull\` are on which sandbox nodes, and why others are not.

  STACK    name of the stack
  --site   another site than the stack's own
  --root   directory with config/ and stacks/ (default: this project)

Exit codes: 0 every image is on every node, 1 some cannot be pulled or the settings are wrong, 2 wrong usage,
3 it is not known (yet).
`;

await runCommand(usage, async (args) => {
  const { values, operands } = parseCommandLine(args, {
    options: { site: { type: "string" }, root: { type: "string" } },
    operands: ["STACK"],
  });
  const [stack = ""] = operands;
  const root = values.root ?? projectRoot;
  const { plan, settings } = decide(root, selectStack(root, stack, values.site));
  const { prepull, names } = plan;
  if (!prepull) {
    return complain(`Stack ${stack} pulls no images ahead: sandbox.prepull.enabled is false.`, 2);
  }
  const { site } = settings;
  if (site.kind === "docker") return complain(`Stack ${stack} is on a Docker host.`, 2);
  const pods = await read(async () => {
    const client = connect(site.cluster);
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
  if (!pods.known) return complain(`not known: ${pods.reason}`, 3);
  const { lines, code } = report(imageStates(pods.value));
  return say(lines.join("\n"), code);
});
