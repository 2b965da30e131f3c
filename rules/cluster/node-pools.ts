import { defineClusterRule, met, notRead } from "../rule.ts";

const definition = "nodepools.karpenter.sh";

/** Only where the site has Karpenter make nodes. */
export const karpenter = defineClusterRule({
  id: "karpenter-installed",
  title: "Karpenter 1.0 or newer, whose NodePool is served as karpenter.sh/v1",
  severity: "fatal",
  consequence: "the node pools could not be created",
  remedy:
    "install Karpenter with the provider of your cloud (https://karpenter.sh/docs/getting-started), or name nodes that are there: pool: { kind: existing } in the site file",
  source: "https://karpenter.sh/docs/concepts/nodepools/",
  unwaivable: "the API server would refuse the NodePool",
  check: ({ plan, facts }) => {
    if (plan.nodePools.length === 0) return [];
    const versions = facts.nodePoolVersions;
    if (!versions.known) return [notRead(versions.reason)];
    if (versions.value.includes("v1")) return [met("karpenter.sh/v1 NodePool")];
    return [
      {
        found:
          versions.value.length > 0
            ? `${definition} serves only ${versions.value.join(", ")}`
            : `no custom resource definition ${definition}`,
        consequence: `the pools ${plan.nodePools.map(({ name }) => name).join(", ")} could not be created`,
      },
    ];
  },
});
