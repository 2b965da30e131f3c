import type { Loaded, Settings } from "../config/load/load.ts";
import type { Plan } from "../plan/plan.ts";
import type { KubernetesSite } from "../config/schema/site.ts";
import type { Certificates } from "./docker/engine.ts";
import type { Facts } from "./facts/facts.ts";
import { nothingKnown } from "./facts/nothing.ts";
import type { Finding } from "../rules/finding.ts";
import type { Recorded } from "../rules/rule.ts";
import { evaluate, isFatal, settle, unusedWaivers } from "./evaluate.ts";
import {
  judgeCluster,
  judgeUnaskedCluster,
  judgeUnaskedHost,
  type Spoiled,
  spoiledBy,
} from "../rules/judge.ts";
import { type Attempts, noAttempts } from "../plan/attempts.ts";
import { unproven } from "./unproven.ts";

export interface PreflightResult {
  /** Meaningful only without fatal findings. */
  readonly plan: Plan;
  readonly findings: readonly Finding[];
  /** Why the sandboxes' isolation is not proven; undefined if a proof is to show it. */
  readonly unproven: string | undefined;
  /** What carries and filters the sandboxes' packets. A proof holds for no other. */
  readonly network: string;
  /** Whether no daemon answers that could build the stack's images for a cluster. */
  readonly builderAbsent: boolean;
  /** What tells the cluster or the daemon from others; undefined where nobody could ever tell. */
  readonly identity: string | undefined;
  /** What tells what is run again from what has failed. */
  readonly attempts: Attempts;
}

export interface PreflightOptions {
  /** Do not ask the cluster: what only it knows is unknown. */
  readonly offline?: boolean;
  /** Take warnings for fatal whatever the experiment says. */
  readonly strict?: boolean;
  /** Nothing is made yet, whatever is found. */
  readonly preview?: boolean;
  /** Where the stack is, by its state. @default unknown */
  readonly recorded?: Recorded | undefined;
  /** With which a Docker host is asked. */
  readonly certificates?: Certificates | undefined;
}

/**
 * Decides about a stack, and joins the decisions with what the cluster says of itself. Changes nothing. The cluster is
 * asked whatever is wrong with the settings; only checks that stand on a spoiled part of the Plan wait, and say so.
 */
export async function preflight(
  loaded: Loaded,
  options: PreflightOptions = {},
): Promise<PreflightResult> {
  const { offline = false, strict = false, preview = false, certificates, recorded } = options;
  const { settings } = loaded;
  const { plan, findings: own } = evaluate(loaded, { strict });
  const subject = { settings, plan, recorded, spoiled: spoiledBy(own.filter(isFatal)) };
  const { site } = settings;
  const asked =
    site.kind === "docker"
      ? await askHost(subject, offline, certificates)
      : await askCluster({ ...subject, site, preview }, offline);
  const found = [...asked.findings, ...unusedWaivers([...own, ...asked.findings], loaded)];
  return { ...asked, plan, findings: [...own, ...settle(found, loaded, { strict })] };
}

type HostFindings = Omit<PreflightResult, "plan">;

interface Asking {
  readonly recorded: Recorded | undefined;
  readonly settings: Settings;
  readonly plan: Plan;
  readonly spoiled: Spoiled;
}

async function askCluster(
  {
    settings,
    plan,
    spoiled,
    site,
    preview,
    recorded,
  }: Asking & { readonly site: KubernetesSite; readonly preview: boolean },
  offline: boolean,
): Promise<HostFindings> {
  const facts = offline ? nothingKnown(unasked) : await readCluster(site, plan);
  return {
    findings: (offline ? judgeUnaskedCluster : judgeCluster)(
      { settings, plan, facts, preview, recorded },
      spoiled,
    ),
    unproven: unproven(plan.isolation.requireProof, facts.nodes),
    network: networkOf(facts),
    identity: facts.identity.known ? facts.identity.value : recorded?.identity,
    builderAbsent: facts.builder.known && "absent" in facts.builder.value,
    attempts: facts.attempts.known ? facts.attempts.value : noAttempts,
  };
}

async function askHost(
  { settings, plan, spoiled, recorded }: Asking,
  offline: boolean,
  certificates: Certificates | undefined,
): Promise<HostFindings> {
  if (!plan.dockerHost) throw new Error("the Plan has no Docker host");
  const unproven = plan.isolation.requireProof ? undefined : unprovenOnDocker;
  const builderAbsent = false;
  if (offline) {
    const findings = judgeUnaskedHost();
    const identity = recorded?.identity;
    return { findings, unproven, network: "", identity, builderAbsent, attempts: noAttempts };
  }
  const { inspectHost } = await import("./docker/inspect.ts");
  return {
    ...(await inspectHost({ settings, plan, spoiled, recorded }, plan.dockerHost, certificates)),
    unproven,
    builderAbsent,
  };
}

/** The client takes a second to load, which only those wait for who need it. */
async function readCluster({ cluster }: KubernetesSite, plan: Plan): Promise<Facts> {
  const { readFacts } = await import("./facts/read.ts");
  return readFacts(cluster, plan);
}

function networkOf({ networkAgents }: Facts): string {
  if (!networkAgents.known) return "";
  return networkAgents.value
    .map(({ daemonSet, product }) => `${product} (${daemonSet})`)
    .join(", ");
}

const unasked = "the cluster was not asked";

const unprovenOnDocker =
  "unproven: isolation.require_proof is false; the sandboxes' network is internal and has a firewall, whether it is in force is unknown";
