/** `npm run -s prove -- -s STACK`: the egress proof of a stack once more, while it runs. */
import { setTimeout as sleep } from "node:timers/promises";
import { ApiException } from "@kubernetes/client-node";
import type { DockerHost } from "../plan/docker/index.ts";
import { ConfigError } from "../config/load/problem.ts";
import {
  CommandError,
  parseCommandLine,
  projectRoot,
  runCommand,
  say,
  UsageError,
} from "./command.ts";
import { decide } from "./decide.ts";
import { again, apisOf, endOf, hasSimulatedNodes } from "./prove/job.ts";
import { readStackFile } from "./stack-file.ts";

const usage = `Usage: npm run -s prove -- -s STACK [--minutes N]

Starts the egress proof of a provisioned stack again, follows it, and prints its verdict and where its details are.

  -s, --stack    name of the stack
  --minutes      how long to wait for it (default 15)
  --root         directory with config/ and stacks/ (default: this project)

Exit codes: 0 proven, 1 the settings are wrong or the cluster does not answer, 2 wrong usage, 3 leaks, 4 unknown
(simulated nodes, no proxy to reach, or not everything could be shown).
`;

await runCommand(usage, async (args) => {
  const { values } = parseCommandLine(args, {
    options: {
      stack: { type: "string", short: "s" },
      minutes: { type: "string", default: "15" },
      root: { type: "string", default: projectRoot },
    },
  });
  const { stack, root } = values;
  if (stack === undefined) throw new UsageError("The name of a stack is missing.");
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) {
    throw new UsageError(`--minutes must be a number above 0, not ${values.minutes}`);
  }
  try {
    return await prove({ stack, minutes, root });
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new CommandError(explain(error));
  }
});

interface Options {
  readonly stack: string;
  readonly minutes: number;
  readonly root: string;
}

async function prove({ stack, minutes, root }: Options): Promise<number> {
  const { plan, settings } = decide(root, readStackFile(root, stack));
  const { site } = settings;
  if (plan.dockerHost) return say(onDocker(plan.dockerHost), 2);
  if (site.kind === "docker") throw new Error("the Plan has no Docker host");
  const apis = apisOf(site.cluster);
  if (await hasSimulatedNodes(apis)) return say("unproven: simulated nodes", 4);
  const namespace = plan.names.namespaces.sandbox;
  const { egressProof: original } = plan.names;
  const job = await apis.batch.readNamespacedJob({ name: original, namespace });
  const name = `${original}-${Date.now().toString(36)}`;
  await apis.batch.createNamespacedJob({ namespace, body: again(job, name) });
  const logs = `kubectl --context ${site.cluster.context} -n ${namespace} logs -l job-name=${name} --tail=-1`;
  process.stderr.write(`${namespace}/${name} started; details: ${logs}\n`);
  const deadline = Date.now() + minutes * 60_000;
  for (;;) {
    const { items } = await apis.core.listNamespacedPod({
      namespace,
      labelSelector: `job-name=${name}`,
    });
    const ended = endOf(items);
    if (ended) return say(`${ended.message} (${ended.node})`, ended.code);
    if (Date.now() > deadline) return say(`unknown: no verdict within ${minutes} minutes`, 4);
    await sleep(1000);
  }
}

/** A container that ended may be started again, and its program proves anew. */
function onDocker({ host, containers }: DockerHost): string {
  return `On a Docker host the proof's own container repeats it: docker --host ${host} start --attach ${containers.proof}`;
}

function explain(error: unknown): string {
  if (error instanceof ApiException && error.code === 404) {
    return "There is no egress proof in the stack's sandbox namespace: run pulumi up first. A site with isolation.require_proof: false has none.";
  }
  if (error instanceof ApiException) return `The API server answered ${error.code}.`;
  return error instanceof Error ? error.message : String(error);
}
