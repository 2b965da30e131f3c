import type { Settings } from "../../config/load/load.ts";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Plan } from "../../plan/plan.ts";
import type { Finding } from "../../rules/finding.ts";
import type { Recorded } from "../../rules/rule.ts";
import { judgeHost, type Spoiled } from "../../rules/judge.ts";
import type { Certificates } from "./engine.ts";
import { type Attempts, noAttempts } from "../../plan/attempts.ts";
import { readDockerFacts } from "./facts.ts";

interface Inspection {
  readonly plan: Plan;
  readonly settings: Settings;
  readonly spoiled: Spoiled;
  readonly recorded: Recorded | undefined;
}

interface Inspected {
  readonly findings: readonly Finding[];
  readonly network: string;
  readonly identity: string | undefined;
  readonly attempts: Attempts;
}

/** What the rules find on the Docker host of a stack, and what a new egress proof depends on. */
export async function inspectHost(
  { plan, settings, spoiled, recorded }: Inspection,
  host: DockerHost,
  certificates: Certificates | undefined,
): Promise<Inspected> {
  const { proxy, ray, trainer, names } = plan;
  const liteLlm = proxy.mode === "litellm" ? [proxy] : [];
  const built = new Set(plan.builds.map(({ reference }) => reference));
  const images = [trainer.image, ...liteLlm.map(({ image }) => image), host.agentRuntime.image];
  const facts = await readDockerFacts(
    { host: host.host, certificates },
    {
      host,
      stack: names.stack,
      // The daemon builds its own before a container needs one.
      images: images.filter((image) => !built.has(image)),
      ports: [ray.ports.dashboard, ...liteLlm.map(({ port }) => port)],
    },
  );
  const { server, identity, attempts } = facts;
  return {
    findings: judgeHost({ settings, plan, docker: host, facts, recorded }, spoiled),
    identity: identity.known ? identity.value : recorded?.identity,
    network: server.known ? `Docker ${server.value.version}` : "",
    attempts: attempts.known ? attempts.value : noAttempts,
  };
}
