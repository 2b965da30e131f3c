import { compare, consequence, unwaivable } from "../identity.ts";
import { defineClusterRule } from "../rule.ts";

export const clusterIdentity = defineClusterRule({
  id: "cluster-identity",
  title: "the cluster that the stack's state is about",
  severity: "fatal",
  consequence,
  remedy:
    "point the context back to the former cluster (kubectl config view); or leave it first: pulumi destroy, with the context as it was; or use another stack: pulumi stack init NAME. If the former cluster is gone: PULUMI_K8S_DELETE_UNREACHABLE=true pulumi destroy, while its address answers nothing",
  source: "docs/operations.md#the-right-cluster",
  unwaivable,
  check: ({ settings, recorded, facts: { identity } }) => {
    const name =
      settings.site.kind === "docker" ? "it" : `context ${settings.site.cluster.context}`;
    return compare(identity, { recorded, name, kind: "cluster" });
  },
});
