import type { Plan } from "../config/plan/plan.ts";
import type { Access } from "./facts/client.ts";
import { type Facts, readFacts } from "./facts/facts.ts";
import type { Finding } from "./finding.ts";
import { clusterRules, reachable } from "./rules/cluster.ts";

export interface PreflightResult {
  readonly findings: readonly Finding[];
  /** What the sandboxes' isolation rests on, as far as facts can tell. */
  readonly isolation: string;
}

/** Joins the Plan with what the cluster says of itself. Changes nothing. */
export async function preflight(plan: Plan, access: Access): Promise<PreflightResult> {
  const facts = await readFacts(access, plan);
  // Without a cluster every further check would only repeat that there is none.
  const rules = facts.server.known ? clusterRules : [reachable];
  return {
    findings: rules.flatMap((rule) => rule(plan, facts)),
    isolation: describeIsolation(facts),
  };
}

function describeIsolation({ nodes }: Facts): string {
  if (nodes.known && nodes.value.length > 0 && nodes.value.every(({ simulated }) => simulated)) {
    return "unproven: simulated nodes";
  }
  return "unproven: no egress proof has run; network policies are declared, their enforcement is unknown";
}
