/** Whether the sandboxes' isolation can hold: who enforces network policies, and who else makes some. */
import { broken, type Finding, met, unknown } from "../finding.ts";
import type { Rule } from "./rule.ts";

/** Most policies that a message names. */
const mostNamed = 6;

export const networkEnforced: Rule = ({ facts: { nodes, networkAgents } }) => {
  const id = "network-enforced";
  if (!networkAgents.known) return [unknown(id, networkAgents.reason)];
  const agents = networkAgents.value;
  const enforcing = agents.filter(({ enforces }) => enforces === true);
  const [first] = enforcing;
  if (first) {
    const late = first.late === undefined ? "" : `; a new pod is unfiltered for ${first.late}`;
    return [met(id, `${first.product} (${first.daemonSet})${late}`)];
  }
  const idle = agents.find(({ enforces }) => enforces === false);
  if (idle && agents.every(({ enforces }) => enforces === false)) {
    return [
      broken(id, {
        found: `${idle.product} (${idle.daemonSet}) carries the network, and it enforces no network policy as it is set up`,
      }),
    ];
  }
  if (nodes.known && nodes.value.length > 0 && nodes.value.every(({ simulated }) => simulated)) {
    return [notKnown("all nodes are simulated: no packet flows")];
  }
  const named = agents.map(({ product }) => product).join(", ");
  return [notKnown(named === "" ? "no network agent that is known" : `${named} may or may not`)];
};

function notKnown(reason: string): Finding {
  const remedy = "rely on nothing that no proof has shown: outputs.isolation says what was";
  return { ...unknown("network-enforced", reason), remedy };
}

/** Policies add up: a second one can only open what ours close. */
export const policiesOurs: Rule = ({ plan, facts: { policies } }) => {
  const id = "policies-ours";
  const { stack, namespaces } = plan.names;
  if (!policies.known) return [unknown(id, policies.reason)];
  const foreign = policies.value.filter((policy) => policy.stack !== stack);
  const findings = foreign.flatMap(
    ({ compartment, name, allowsEgress, allowsIngress }): Finding[] => {
      const opens = [
        // Training pods may reach the outside anyway.
        ...(allowsEgress && compartment !== "train" ? ["out"] : []),
        ...(allowsIngress ? ["in"] : []),
      ];
      if (opens.length === 0) return [];
      const namespace = namespaces[compartment];
      return [
        broken(id, {
          found: `network policy ${name} in ${namespace} lets more ${opens.join(" and ")}`,
          ...(compartment === "sandbox" && allowsEgress
            ? { consequence: "untrusted code in the sandboxes could send to wherever it allows" }
            : {}),
          remedy: `delete it: kubectl delete networkpolicy ${name} -n ${namespace}`,
        }),
      ];
    },
  );
  return findings.length > 0 ? findings : [met(id, `${foreign.length} of others`)];
};

export const otherPolicies: Rule = ({ facts: { otherPolicies: others } }) => {
  const id = "policies-known";
  if (!others.known) return [unknown(id, others.reason)];
  if (others.value.length === 0) return [met(id, "none")];
  const named = others.value.slice(0, mostNamed).join(", ");
  const remedy = "look at them: do they select the stack's namespaces?";
  return [{ ...unknown(id, `what ${named} open is not evaluated`), remedy }];
};
