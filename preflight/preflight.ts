import type { Loaded, Settings } from "../config/load/load.ts";
import { type Plan, plan as decide } from "../plan/plan.ts";
import type { ConfigError, Problem } from "../config/load/problem.ts";
import type { RuleId } from "../rules/catalogue.ts";
import type { KubernetesSite } from "../config/schema/site.ts";
import type { Certificates } from "./docker/engine.ts";
import type { Facts } from "./facts/facts.ts";
import { nothingKnown } from "./facts/nothing.ts";
import { type Finding, fromProblem, type Severity } from "../rules/finding.ts";
import { check, checkUnasked } from "../rules/cluster/checks.ts";
import { unproven } from "../rules/cluster/egress-proof.ts";
import { settle, unusedWaivers } from "./waivers.ts";

export interface PreflightResult {
  /** Meaningful only without fatal findings. */
  readonly plan: Plan;
  readonly findings: readonly Finding[];
  /** Why the sandboxes' isolation is not proven; undefined if a proof is to show it. */
  readonly unproven: string | undefined;
  /** What carries and filters the sandboxes' packets. A proof holds for no other. */
  readonly network: string;
  /** Id of the egress proof that failed last, so that the next one is another; empty if none did. */
  readonly attempt: string;
}

export interface PreflightOptions {
  /** Do not ask the cluster: what only it knows is unknown. */
  readonly offline?: boolean;
  /** Take warnings for fatal whatever the experiment says. */
  readonly strict?: boolean;
  /** With which a Docker host is asked. */
  readonly certificates?: Certificates | undefined;
}

/**
 * Decides about a stack, and joins the decisions with what the cluster says of itself. Changes nothing. The cluster is
 * asked only if the settings are sound: a Plan that contradicts itself has nothing to compare with.
 */
export async function preflight(
  loaded: Loaded,
  { offline = false, strict = false, certificates }: PreflightOptions = {},
): Promise<PreflightResult> {
  const { settings, locate } = loaded;
  const { plan, problems, warnings, unknowns } = decide(settings);
  const found = (list: readonly Problem[], severity: Severity, otherwise?: RuleId) =>
    list.map((problem) => {
      const location = problem.location ?? locate(problem.path);
      return fromProblem({ ...problem, location }, severity, otherwise);
    });
  const own = [
    ...found(problems, "fatal"),
    ...found(loaded.warnings, "warn", "no-effect"),
    ...found(warnings, "warn"),
    ...found(unknowns, "unknown"),
  ];
  const { waive, strict: wanted } = settings.experiment.preflight;
  const wishes = { waive, strict: wanted || strict };
  const settled = settle(own, wishes);
  if (settled.some(isFatal)) return { plan, findings: settled, ...nothingTold };
  const subject = { settings, plan };
  const { site } = settings;
  const told =
    site.kind === "docker"
      ? await askHost(subject, offline, certificates)
      : await askCluster({ ...subject, site }, offline);
  const unused = unusedWaivers([...own, ...told.findings], loaded);
  const findings = [...settled, ...settle([...told.findings, ...unused], wishes)];
  return { ...told, plan, findings };
}

type Told = Omit<PreflightResult, "plan">;

async function askCluster(
  { settings, plan, site }: { settings: Settings; plan: Plan; site: KubernetesSite },
  offline: boolean,
): Promise<Told> {
  const facts = offline ? nothingKnown(unasked) : await readCluster(site, plan);
  return {
    findings: (offline ? checkUnasked : check)({ settings, plan, facts }),
    unproven: unproven(plan.isolation.requireProof, facts.nodes),
    network: networkOf(facts),
    // A failed Job is no resource yet, and made anew anyway.
    attempt: "",
  };
}

async function askHost(
  { settings, plan }: { settings: Settings; plan: Plan },
  offline: boolean,
  certificates: Certificates | undefined,
): Promise<Told> {
  if (!plan.dockerHost) throw new Error("the Plan has no Docker host");
  const { inspectHost, unaskedHost } = await import("./docker/inspect.ts");
  const unproven = plan.isolation.requireProof ? undefined : unprovenOnDocker;
  if (offline) return { findings: unaskedHost(), unproven, network: "", attempt: "" };
  return { ...(await inspectHost({ settings, plan }, plan.dockerHost, certificates)), unproven };
}

/** The client takes a second to load, which only those wait for who need it. */
async function readCluster({ cluster }: KubernetesSite, plan: Plan): Promise<Facts> {
  const { readFacts } = await import("./facts/facts.ts");
  return readFacts(cluster, plan);
}

function networkOf({ networkAgents }: Facts): string {
  if (!networkAgents.known) return "";
  return networkAgents.value
    .map(({ daemonSet, product }) => `${product} (${daemonSet})`)
    .join(", ");
}

/** What is wrong with settings that could not even be loaded. */
export function findingsOf({ problems }: ConfigError): Finding[] {
  return problems.map((problem) => fromProblem(problem, "fatal"));
}

const unasked = "the cluster was not asked";

const unprovenOnDocker =
  "unproven: isolation.require_proof is false; the sandboxes' network is internal and has a firewall, whether it is in force is unknown";

const nothingTold = {
  unproven: "unproven: the settings are not sound, so the cluster was not asked",
  network: "",
  attempt: "",
};

/** Whether the finding ends the command. */
export function isFatal({ severity, waived }: Finding): boolean {
  return severity === "fatal" && waived === undefined;
}
