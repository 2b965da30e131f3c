import { broken, met, unknown } from "../finding.ts";
import type { Rule } from "./rule.ts";

const definition = "nodepools.karpenter.sh";

/** Only where the site has Karpenter make nodes. */
export const karpenter: Rule = ({ plan, facts }) => {
  if (plan.nodePools.length === 0) return [];
  const id = "karpenter-installed";
  const versions = facts.nodePoolVersions;
  if (!versions.known) return [unknown(id, versions.reason)];
  if (versions.value.includes("v1")) return [met(id, "karpenter.sh/v1 NodePool")];
  return [
    broken(id, {
      found:
        versions.value.length > 0
          ? `${definition} serves only ${versions.value.join(", ")}`
          : `no custom resource definition ${definition}`,
      consequence: `the pools ${plan.nodePools.map(({ name }) => name).join(", ")} could not be created`,
    }),
  ];
};
