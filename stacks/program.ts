/** The program of a stack: selects the stack's settings, plans, checks, and hands over to the tier. */
import * as pulumi from "@pulumi/pulumi";
import { type Loaded, load } from "../config/load.ts";
import { type Plan, plan } from "../config/plan/plan.ts";
import { ConfigError, describeProblem, type Problem } from "../config/problem.ts";
import { preflight } from "../preflight/preflight.ts";
import { count, describe } from "../preflight/report.ts";
import { connect } from "./cluster.ts";
import { outputs } from "./outputs.ts";
import { provisionTier } from "./tier.ts";

const root = `${import.meta.dirname}/..`;

export async function program() {
  const config = new pulumi.Config();
  const user = {
    wandbApiKey: config.getSecret("wandbApiKey"),
    registryCredentials: config.getSecret("registryCredentials"),
  };
  const loaded = forUser(() =>
    load(root, {
      stack: pulumi.getStack(),
      experiment: config.get("experiment"),
      site: config.get("site"),
      secrets: new Set(Object.entries(user).flatMap(([name, value]) => (value ? [name] : []))),
    }),
  );
  const decided = forUser(() => decide(loaded));
  const { cluster } = loaded.settings.site;
  const checked = await preflight(decided, cluster);
  for (const finding of checked.findings) {
    if (finding.severity === "unknown" || finding.severity === "warn") {
      await pulumi.log.warn(describe(finding));
    }
  }
  const fatal = checked.findings.filter(({ severity }) => severity === "fatal");
  if (fatal.length > 0) {
    throw new pulumi.RunError(
      [
        "preflight found what would make the run fail; nothing was created.",
        ...fatal.map(describe),
      ].join("\n"),
    );
  }
  await pulumi.log.info(`preflight: ${count(checked.findings)}`);
  await pulumi.log.info(`proxy mode ${decided.proxy.mode}: ${decided.proxyCost}`);
  limitDeletions(decided.deletionSeconds);
  const provisioned = provisionTier(decided, connect(loaded.settings), user);
  return outputs(decided, { provisioned, checked, context: cluster.context });
}

function decide({ settings, warnings, locate }: Loaded): Plan {
  const result = plan(settings);
  const located = (problem: Problem) => ({
    ...problem,
    location: problem.location ?? locate(problem.path),
  });
  if (result.problems.length > 0) throw new ConfigError(result.problems.map(located));
  for (const warning of [...warnings, ...result.warnings]) {
    void pulumi.log.warn(describeProblem(located(warning)));
  }
  return result.plan;
}

/** Errors in the settings are for the user: shown as they are, without a stack trace. */
function forUser<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigError) throw new pulumi.RunError(error.message);
    throw error;
  }
}

/** Bounds the deletion of every resource; those that know better say so themselves. */
function limitDeletions(seconds: number): void {
  pulumi.runtime.registerStackTransformation(({ props, opts }) => {
    const customTimeouts = { delete: `${seconds}s`, ...opts.customTimeouts };
    return { props, opts: { ...opts, customTimeouts } };
  });
}
