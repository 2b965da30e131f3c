import type { Fact } from "../../preflight/facts/fact.ts";
import { broken, met, unknown } from "../finding.ts";
import type { NodeFact } from "../../preflight/facts/facts.ts";
import type { Rule } from "./rule.ts";

/** Whether pods might be simulated, which complete without having run; undefined: not known. */
export function simulated(nodes: Fact<readonly NodeFact[]>): boolean | undefined {
  // One is enough: nobody knows on which a pod will seem to run.
  return nodes.known ? nodes.value.some((node) => node.simulated) : undefined;
}

export const egressProof: Rule = ({ plan, facts: { nodes } }) => {
  const id = "egress-proof";
  const pretended = simulated(nodes);
  if (!plan.isolation.requireProof) {
    // Where no program runs none does harm; the output `isolation` says what it is.
    if (pretended !== false) return [];
    const found = "isolation.require_proof is false: none runs";
    return [broken(id, { found, severity: "warn", path: ["site", "isolation", "require_proof"] })];
  }
  if (!nodes.known) return [unknown(id, nodes.reason)];
  if (pretended === true) {
    return [broken(id, { found: "simulated nodes, on which no program runs and no packet flows" })];
  }
  return [met(id, "a proof runs before the Ray cluster, and a leak fails the update")];
};

/** What the sandboxes' isolation rests on before any proof of this update. */
export function unproven(
  requireProof: boolean,
  nodes: Fact<readonly NodeFact[]>,
): string | undefined {
  const pretended = simulated(nodes);
  if (pretended === true) return "unproven: simulated nodes";
  if (!requireProof) {
    return "unproven: isolation.require_proof is false; network policies are declared, their enforcement is unknown";
  }
  if (pretended === undefined) {
    return "unproven: the nodes could not be read, so nobody knows whether a proof has really run on one";
  }
  return undefined;
}
