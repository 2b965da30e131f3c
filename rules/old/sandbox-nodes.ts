import type { RuleText } from "./text.ts";

const consequence =
  "a sandbox always reaches its own node, whatever the network policies say, and takes CPU, memory and disk from the trainer there";

/** Rules about where sandboxes run. */
export const sandboxNodeRules = {
  "sandbox-nodes": {
    title: "sandboxes select other nodes than the GPU pods do",
    severity: "fatal",
    consequence,
    remedy:
      "give sandbox_nodes.selector of the site file a label that the GPU nodes do not have, or another value of one of theirs",
    source: "practice.md 3 and 5.2",
    checkedBy: "plan",
  },
} as const satisfies Record<string, RuleText>;
