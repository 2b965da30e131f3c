import type { Loaded } from "../config/load.ts";
import { type Plan, plan as decide } from "../config/plan/plan.ts";
import type { RuleProblem } from "../config/plan/problems.ts";
import type { Certificates } from "./docker/engine.ts";
import { inspectHost } from "./docker/inspect.ts";
import { readFacts, type Facts } from "./facts/facts.ts";
import { type Finding, fromPlan, type Severity } from "./finding.ts";
import { check } from "./rules/checks.ts";
import { settle } from "./waivers.ts";

export interface PreflightResult {
  /** Meaningful only without fatal findings. */
  readonly plan: Plan;
  readonly findings: readonly Finding[];
  /** What the sandboxes' isolation rests on, as far as facts can tell. */
  readonly isolation: string;
}

/**
 * Decides about a stack, and joins the decisions with what the cluster says of itself. Changes nothing. The cluster is
 * asked only if the settings are sound: a Plan that contradicts itself has nothing to compare with.
 */
export async function preflight(
  { settings, locate }: Loaded,
  certificates?: Certificates,
): Promise<PreflightResult> {
  const { plan, problems, warnings, unknowns } = decide(settings);
  const found = (list: readonly RuleProblem[], severity: Severity) =>
    list.map((problem) => {
      const location = problem.location ?? locate(problem.path);
      return fromPlan({ ...problem, location }, severity);
    });
  const own = [
    ...found(problems, "fatal"),
    ...found(warnings, "warn"),
    ...found(unknowns, "unknown"),
  ];
  const { preflight: wishes } = settings.experiment;
  const settled = settle(own, wishes);
  if (settled.some(isFatal)) return { plan, findings: settled, isolation: notAsked };
  const { site } = settings;
  if (site.kind === "docker") {
    if (!plan.dockerHost) throw new Error("the Plan has no Docker host");
    const told = await inspectHost({ plan, settings }, plan.dockerHost, certificates);
    return {
      plan,
      findings: [...settled, ...settle(told, wishes)],
      isolation: unprovenOnDocker,
    };
  }
  const facts = await readFacts(site.cluster, plan);
  const told = check({ settings, plan, facts });
  return {
    plan,
    findings: [...settled, ...settle(told, wishes)],
    isolation: describeIsolation(facts),
  };
}

const unprovenOnDocker =
  "unproven: no egress proof has run; the sandboxes' network is internal and the host is not in it; sandboxes of the stack reach each other";

const notAsked = "unproven: the settings are not sound, so the cluster was not asked";

/** Whether the finding ends the command. */
export function isFatal({ severity, waived }: Finding): boolean {
  return severity === "fatal" && waived === undefined;
}

function describeIsolation({ nodes }: Facts): string {
  if (nodes.known && nodes.value.length > 0 && nodes.value.every(({ simulated }) => simulated)) {
    return "unproven: simulated nodes";
  }
  return "unproven: no egress proof has run; network policies are declared, their enforcement is unknown";
}
