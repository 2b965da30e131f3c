/** The program of a stack: selects the stack's settings, plans, checks, and hands over to the tier. */
import * as pulumi from "@pulumi/pulumi";
import { load } from "../config/load.ts";
import { ConfigError, describeProblem } from "../config/problem.ts";
import { isFatal, preflight } from "../preflight/preflight.ts";
import { count, describe } from "../preflight/report.ts";
import { connect } from "./cluster.ts";
import { certificates } from "./docker/host.ts";
import { onDocker } from "./docker/program.ts";
import { outputs } from "./outputs.ts";
import { provisionTier } from "./tier.ts";

const root = `${import.meta.dirname}/..`;

export async function program() {
  const config = new pulumi.Config();
  const user = {
    wandbApiKey: config.getSecret("wandbApiKey"),
    registryCredentials: config.getSecret("registryCredentials"),
    dockerCa: config.getSecret("dockerCa"),
    dockerCert: config.getSecret("dockerCert"),
    dockerKey: config.getSecret("dockerKey"),
  };
  const loaded = forUser(() =>
    load(root, {
      stack: pulumi.getStack(),
      experiment: config.get("experiment"),
      site: config.get("site"),
      secrets: new Set(Object.entries(user).flatMap(([name, value]) => (value ? [name] : []))),
    }),
  );
  for (const warning of loaded.warnings) void pulumi.log.warn(describeProblem(warning));
  const checked = await preflight(loaded, await certificates(user));
  const { plan, findings } = checked;
  for (const finding of findings) {
    if (finding.severity !== "ok" && !isFatal(finding)) await pulumi.log.warn(describe(finding));
  }
  const fatal = findings.filter(isFatal);
  if (fatal.length > 0) {
    throw new pulumi.RunError(
      [
        "preflight found what would make the run fail; nothing was created.",
        ...fatal.map(describe),
      ].join("\n"),
    );
  }
  await pulumi.log.info(`preflight: ${count(findings)}`);
  await pulumi.log.info(`proxy mode ${plan.proxy.mode}: ${plan.proxyCost}`);
  limitDeletions(plan.deletionSeconds);
  const { site } = loaded.settings;
  if (site.kind === "docker") return onDocker({ plan, checked, user });
  const provisioned = provisionTier(plan, connect(site), user);
  return outputs(plan, { provisioned, checked, context: site.cluster.context });
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
