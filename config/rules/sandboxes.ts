import type { RuleText } from "./rule.ts";

/** Rules about the isolation of the sandboxes. */
export const sandboxRules = {
  "accepted-target": {
    title: "holes that the site accepts are targets of the egress proof",
    severity: "fatal",
    consequence: "a misspelt name would accept nothing, or seem to",
    remedy: "write the name as the proof's verdict does",
    source: "docs/isolation.md",
    checkedBy: "plan",
  },
  "egress-proof": {
    title: "a pod shows that sandboxes reach the proxy and nothing else, before training starts",
    severity: "fatal",
    consequence:
      "code that a model wrote would run where nobody knows what it can reach: the internet, the API server, Ray's job API",
    remedy:
      "run on real nodes; or write isolation: { require_proof: false } into the site file, and the stack says that it is unproven",
    source: "practice 5.2: enforcement is proven, not declared",
    checkedBy: "preflight",
  },
} as const satisfies Record<string, RuleText>;
