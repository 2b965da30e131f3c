import type { Fact } from "./facts/fact.ts";
import { type NodeFact, simulated } from "./facts/nodes.ts";

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
    return "unproven: the nodes could not be read, so it is unknown whether a proof really ran on one";
  }
  return undefined;
}
