/** Whether the API server will take what the stack makes: rights, names, admission. */
import type { Right } from "../../preflight/facts/rights.ts";
import { kindsOf } from "../../plan/resources/index.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

/** Most refusals that a message names. */
const mostNamed = 6;

export const rights = defineClusterRule({
  id: "rights",
  standsOn: ["names"],
  title: "the right to make, read, change and delete everything that the stack has",
  severity: "fatal",
  consequence: "pulumi up would end half-way with 403",
  remedy: "ask an administrator to grant the account a role with these rights",
  source: "docs/decisions.md#c-26",
  unwaivable: "the API server would refuse the objects",
  check: ({ plan, facts: { missingRights } }) => {
    if (!missingRights.known) return [notRead(missingRights.reason)];
    const missing = missingRights.value;
    if (missing.length === 0) return [met(`all of ${kindsOf(plan).length} kinds of objects`)];
    const [first] = missing;
    return [
      {
        found: `the account may not ${describeRights(missing)}`,
        ...(first
          ? {
              remedy: `ask an administrator to grant it a role with these rights, and ask: ${question(first)}`,
            }
          : {}),
      },
    ];
  },
});

/** `create, patch deployments.apps in a-proxy`, by kind and place. */
function describeRights(missing: readonly Right[]): string {
  const verbs = new Map<string, string[]>();
  for (const { verb, group, resource, namespace } of missing) {
    const kind = group === "" ? resource : `${resource}.${group}`;
    const what = namespace === undefined ? kind : `${kind} in ${namespace}`;
    verbs.set(what, [...(verbs.get(what) ?? []), verb]);
  }
  const all = [...verbs].map(([what, list]) => `${list.join(", ")} ${what}`);
  const more = all.length - mostNamed;
  return `${all.slice(0, mostNamed).join("; ")}${more > 0 ? `; and ${more} kinds more` : ""}`;
}

function question({ verb, group, resource, namespace }: Right): string {
  const kind = group === "" ? resource : `${resource}.${group}`;
  const place = namespace === undefined ? "" : ` -n ${namespace}`;
  return `kubectl auth can-i ${verb} ${kind}${place}`;
}

export const namesakes = defineClusterRule({
  id: "objects-ours",
  standsOn: ["names"],
  title: "no other owner's object has a name of the stack's own",
  severity: "fatal",
  consequence: "pulumi up would end half-way with AlreadyExists, or take over what is not its own",
  remedy: "choose another stack name: pulumi stack init NAME",
  source: "docs/decisions.md#c-44",
  unwaivable: "destroy would delete what is not the stack's",
  check: ({ facts: { namesakes: found } }) => {
    if (!found.known) return [notRead(found.reason)];
    if (found.value.length === 0) return [met("no other owner's object has their names")];
    const [kind = "", place = ""] = found.value[0]?.split(" ") ?? [];
    const [name, namespace] = place.split("/").reverse();
    const where = namespace === undefined ? "" : ` -n ${namespace}`;
    return [
      {
        found: `${found.value.slice(0, mostNamed).join(", ")} ${found.value.length === 1 ? "belongs" : "belong"} to another owner`,
        remedy: `choose another stack name, or delete it if it is not needed: kubectl delete ${kind} ${name ?? ""}${where}`,
      },
    ];
  },
});

export const admission = defineClusterRule({
  id: "admission",
  standsOn: ["names"],
  title: "admission that takes the stack's namespaces and pods",
  severity: "fatal",
  consequence: "pulumi up would end half-way with a refusal",
  remedy:
    "ask the owner of that admission to exempt the stack's namespaces: kubectl get validatingwebhookconfigurations,validatingadmissionpolicies",
  source:
    "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/",
  check: ({ facts: { admission: asked } }) => {
    if (!asked.known) return [notRead(asked.reason)];
    const { refused, accepted, untried, watchers } = asked.value;
    const findings = refused.map(({ what, message }): Verdict => ({
      found: `${what} would be refused: ${message}`,
    }));
    if (findings.length > 0) return findings;
    if (untried.length > 0 && watchers.length > 0) {
      const reason = `${watchers.slice(0, mostNamed).join(", ")} look at pods, and ${untried.join(", ")} cannot be tried before the namespace is there`;
      return [notRead(reason)];
    }
    return [met(accepted.length > 0 ? accepted.join(", ") : "no other admission looks at pods")];
  },
});
