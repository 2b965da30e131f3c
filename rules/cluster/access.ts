/** Whether the API server will take what the stack makes: rights, names, admission. */
import type { Right } from "../../preflight/facts/rights.ts";
import { broken, type Finding, met, unknown } from "../finding.ts";
import { kindsOf } from "../../plan/resources.ts";
import type { Rule } from "./rule.ts";

/** Most refusals that a message names. */
const mostNamed = 6;

export const rights: Rule = ({ plan, facts: { missingRights } }) => {
  const id = "rights";
  if (!missingRights.known) return [unknown(id, missingRights.reason)];
  const missing = missingRights.value;
  if (missing.length === 0) return [met(id, `all of ${kindsOf(plan).length} kinds of objects`)];
  const [first] = missing;
  return [
    broken(id, {
      found: `the account may not ${describeRights(missing)}`,
      ...(first
        ? { remedy: `have somebody grant it a role with these rights, and ask: ${question(first)}` }
        : {}),
    }),
  ];
};

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

export const namesakes: Rule = ({ facts: { namesakes: found } }) => {
  const id = "objects-ours";
  if (!found.known) return [unknown(id, found.reason)];
  if (found.value.length === 0) return [met(id, "no object of somebody else has their names")];
  const [kind = "", place = ""] = found.value[0]?.split(" ") ?? [];
  const [name, namespace] = place.split("/").reverse();
  const where = namespace === undefined ? "" : ` -n ${namespace}`;
  return [
    broken(id, {
      found: `${found.value.slice(0, mostNamed).join(", ")} ${found.value.length === 1 ? "belongs" : "belong"} to somebody else`,
      remedy: `choose another stack name, or delete it if nobody needs it: kubectl delete ${kind} ${name ?? ""}${where}`,
    }),
  ];
};

export const admission: Rule = ({ facts: { admission: asked } }) => {
  const id = "admission";
  if (!asked.known) return [unknown(id, asked.reason)];
  const { refused, accepted, untried, watchers } = asked.value;
  const findings = refused.map(({ what, message }): Finding =>
    broken(id, { found: `${what} would be refused: ${message}` }),
  );
  if (findings.length > 0) return findings;
  if (untried.length > 0 && watchers.length > 0) {
    const reason = `${watchers.slice(0, mostNamed).join(", ")} look at pods, and ${untried.join(", ")} cannot be tried before the namespace is there`;
    return [unknown(id, reason)];
  }
  return [met(id, accepted.length > 0 ? accepted.join(", ") : "nobody else looks at pods")];
};
