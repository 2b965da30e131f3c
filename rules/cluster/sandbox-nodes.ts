import { listed } from "./listed.ts";
import { admits } from "../../preflight/facts/placement.ts";
import { defineClusterRule, met, notRead } from "../rule.ts";

/** How many nodes a message names. */
const shownNodes = 3;

/** Selectors alone do not tell: a node may have the labels of both, and no taint. */
export const sandboxGpuNodes = defineClusterRule({
  id: "sandbox-gpu-nodes",
  title: "no node with GPUs among those that take sandboxes",
  severity: "fatal",
  consequence:
    "a sandbox always reaches its own node, whatever the network policies say, and takes CPU, memory and disk from the trainer there",
  remedy:
    "taint the GPU nodes, or narrow sandbox_nodes.selector and sandbox_nodes.tolerations in the site file",
  source: "docs/decisions.md#sandboxes-keep-off-gpu-nodes",
  check: ({ plan, facts: { nodes } }) => {
    if (!nodes.known) return [notRead(nodes.reason)];
    const taking = nodes.value.filter((node) => admits(plan.sandboxes, node));
    const withGpus = taking.filter(
      ({ allocatable }) => Number(allocatable[plan.gpuDemand.resource] ?? 0) > 0,
    );
    if (withGpus.length === 0) return [met(`${taking.length} nodes take sandboxes, none has GPUs`)];
    const names = withGpus.map(({ name }) => name);
    const found = `${listed(names, shownNodes)} would take sandboxes`;
    if (plan.topology.gpuNodes === 1) {
      return [met(`${found}; tier ${plan.topology.tier} may share its node`)];
    }
    return [{ found }];
  },
});
