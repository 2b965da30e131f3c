import { broken, met, unknown } from "../finding.ts";
import { matches, tolerates } from "../../plan/nodes/placement.ts";
import type { Rule } from "./rule.ts";

/** How many nodes a message names. */
const shownNodes = 3;

/** Selectors alone do not tell: a node may have the labels of both, and no taint. */
export const sandboxGpuNodes: Rule = ({ plan, facts: { nodes } }) => {
  const id = "sandbox-gpu-nodes";
  if (!nodes.known) return [unknown(id, nodes.reason)];
  const { nodeSelector, tolerations } = plan.sandboxes;
  const taking = nodes.value.filter(
    (node) => matches(node, Object.entries(nodeSelector)) && tolerates(tolerations, node),
  );
  const withGpus = taking.filter(
    ({ allocatable }) => Number(allocatable[plan.gpuDemand.resource] ?? 0) > 0,
  );
  if (withGpus.length === 0)
    return [met(id, `${taking.length} nodes take sandboxes, none has GPUs`)];
  const names = withGpus.slice(0, shownNodes).map(({ name }) => name);
  const rest = withGpus.length - names.length;
  const found = `${names.join(", ")}${rest > 0 ? ` and ${rest} more` : ""} would take sandboxes`;
  if (plan.topology.mode === "sync") {
    return [met(id, `${found}; tier ${plan.topology.tier} may share its node`)];
  }
  return [broken(id, { found })];
};
