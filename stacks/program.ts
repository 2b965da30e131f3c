/** The program of a stack: selects the stack's settings, plans, checks, and hands over to the tier. */
import * as pulumi from "@pulumi/pulumi";
import { load, type Loaded, type Selection } from "../config/load/load.ts";
import {
  flawOfSecret,
  inClear,
  type SecretFlaw,
  userSecrets,
} from "../config/schema/secret-form.ts";
import { ConfigError } from "../config/load/problem.ts";
import type { Finding } from "../rules/finding.ts";
import { preflightDespite } from "../preflight/despite.ts";
import { isFatal } from "../preflight/evaluate.ts";
import { preflight, type PreflightOptions } from "../preflight/preflight.ts";
import { report } from "../preflight/report.ts";
import { certificates, onDocker } from "./docker.ts";
import { connect, provisionCluster } from "./kubernetes.ts";
import { outputs } from "./outputs.ts";
import { readRecorded } from "./recorded.ts";

/** Looks at the values of the secrets, which no Output shows before the update. */
function secretFlaws(config: pulumi.Config): SecretFlaw[] {
  const encrypted = encryptedKeys();
  return userSecrets.flatMap((name): SecretFlaw[] => {
    const key = `${config.name}:${name}`;
    // `config.get` would warn of a secret that is read in clear.
    const value = pulumi.runtime.getConfig(key);
    if (value === undefined) return [];
    if (encrypted && !encrypted.includes(key)) {
      return [{ name, flaw: inClear }];
    }
    const flaw = flawOfSecret(name, value);
    return flaw === undefined ? [] : [{ name, flaw }];
  });
}

/** Keys of the stack's encrypted values, as the engine tells its language hosts; undefined without an engine. */
function encryptedKeys(): readonly string[] | undefined {
  const keys = process.env["PULUMI_CONFIG_SECRET_KEYS"];
  return keys === undefined ? undefined : (JSON.parse(keys) as string[]);
}

const root = `${import.meta.dirname}/..`;

export async function program() {
  const config = new pulumi.Config();
  const user = {
    wandbApiKey: config.getSecret("wandbApiKey"),
    registryCredentials: config.getSecret("registryCredentials"),
    pushCredentials: config.getSecret("pushCredentials"),
    dockerCa: config.getSecret("dockerCa"),
    dockerCert: config.getSecret("dockerCert"),
    dockerKey: config.getSecret("dockerKey"),
  };
  const selection = {
    stack: pulumi.getStack(),
    experiment: config.get("experiment"),
    site: config.get("site"),
    secrets: new Set(Object.entries(user).flatMap(([name, value]) => (value ? [name] : []))),
    secretFlaws: secretFlaws(config),
  };
  const options = {
    certificates: await certificates(user),
    preview: pulumi.runtime.isDryRun(),
    recorded: await readRecorded(),
  };
  const loaded = await loadForUser(selection, options);
  const checked = await preflight(loaded, options);
  const { plan, findings } = checked;
  await show(findings);
  await pulumi.log.info(`proxy mode ${plan.proxy.mode}: ${plan.proxyCost}`);
  limitDeletions(plan.deletionSeconds);
  const { site } = loaded.settings;
  if (site.kind === "docker") return onDocker({ plan, checked, user });
  const provisioned = provisionCluster(plan, connect(site, checked), user);
  return outputs(plan, { provisioned, checked, context: site.cluster.context });
}

/**
 * Errors in the settings are for the user: shown as they are, without a stack trace, beside what the cluster lacks.
 * @throws {pulumi.RunError} If the settings cannot be used.
 */
async function loadForUser(selection: Selection, options: PreflightOptions): Promise<Loaded> {
  try {
    return load(root, selection);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw refusal(await preflightDespite(error, { root, selection }, options));
  }
}

/** Shows what preflight found. @throws {pulumi.RunError} If the run would fail. */
async function show(findings: readonly Finding[]): Promise<void> {
  if (findings.some(isFatal)) throw refusal(findings);
  const isFine = findings.every(({ severity }) => severity === "ok");
  const text = report(findings, root);
  await (isFine ? pulumi.log.info(text) : pulumi.log.warn(text));
}

function refusal(findings: readonly Finding[]): pulumi.RunError {
  return new pulumi.RunError(
    `preflight found what would make the run fail; nothing was created.\n${report(findings, root)}`,
  );
}

/** Bounds the deletion of every resource; those that know better say so themselves. */
function limitDeletions(seconds: number): void {
  pulumi.runtime.registerStackTransformation(({ props, opts }) => {
    const customTimeouts = { delete: `${seconds}s`, ...opts.customTimeouts };
    return { props, opts: { ...opts, customTimeouts } };
  });
}
