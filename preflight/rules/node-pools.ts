import { ok, unknown } from "../finding.ts";
import type { Rule } from "./rule.ts";

const definition = "nodepools.karpenter.sh";

/** Only where the site has Karpenter make nodes. */
export const karpenter: Rule = ({ nodePools }, { nodePoolVersions: versions }) => {
  if (nodePools.length === 0) return [];
  const id = "karpenter-installed";
  const expected = `Karpenter 1.0 or newer, whose NodePool (${definition}) is served as karpenter.sh/v1`;
  if (!versions.known) return [unknown(id, expected, versions.reason)];
  if (versions.value.includes("v1")) return [ok(id, "karpenter.sh/v1 NodePool")];
  return [
    {
      id,
      severity: "fatal",
      found:
        versions.value.length > 0
          ? `${definition} serves only ${versions.value.join(", ")}`
          : `no custom resource definition ${definition}`,
      expected,
      consequence: `the pools ${nodePools.map(({ name }) => name).join(", ")} could not be created`,
      remedy:
        "install Karpenter with the provider of your cloud (https://karpenter.sh/docs/getting-started), or name nodes that are there: pool: { kind: existing } in the site file",
    },
  ];
};
