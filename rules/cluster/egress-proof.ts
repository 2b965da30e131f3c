import { simulated } from "../../preflight/facts/nodes.ts";
import { defineClusterRule, met, notRead } from "../rule.ts";

export const egressProof = defineClusterRule({
  id: "egress-proof",
  title: "a pod shows that sandboxes reach the proxy and nothing else, before training starts",
  severity: "fatal",
  consequence:
    "code that a model wrote would run with unknown reach: the internet, the API server, Ray's job API",
  remedy:
    "run on real nodes; or write isolation: { require_proof: false } into the site file, and the stack says that it is unproven",
  source: "docs/isolation.md",
  check: ({ plan, facts: { nodes } }) => {
    const pretended = simulated(nodes);
    if (!plan.isolation.requireProof) {
      // Where no program runs none does harm; the output `isolation` says what it is.
      if (pretended !== false) return [];
      const found = "isolation.require_proof is false: none runs";
      return [{ found, severity: "warn", path: ["site", "isolation", "require_proof"] }];
    }
    if (!nodes.known) return [notRead(nodes.reason)];
    if (pretended === true) {
      return [{ found: "simulated nodes, on which no program runs and no packet flows" }];
    }
    return [met("a proof runs before the Ray cluster, and a leak fails the update")];
  },
});
