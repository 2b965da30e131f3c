/** Whether the sandboxes' isolation can hold: who enforces network policies, and who else makes some. */
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

/** Most policies that a message names. */
const mostNamed = 6;

export const networkEnforced = defineClusterRule({
  id: "network-enforced",
  title: "a network that enforces NetworkPolicy",
  severity: "fatal",
  consequence:
    "network policies are declared and nothing enforces them: untrusted code in the sandboxes reaches the internet and the cluster",
  remedy:
    "install a network that enforces them (Calico, Cilium, Antrea, kube-router), or an enforcer beside this one: https://github.com/kubernetes-sigs/kube-network-policies",
  source: "https://github.com/k3s-io/k3s/issues/947; docs/isolation.md",
  check: ({ facts: { nodes, networkAgents } }) => {
    if (!networkAgents.known) return [notRead(networkAgents.reason)];
    const agents = networkAgents.value;
    const enforcing = agents.filter(({ enforces }) => enforces === true);
    const [first] = enforcing;
    if (first) {
      const late = first.late === undefined ? "" : `; a new pod is unfiltered for ${first.late}`;
      return [met(`${first.product} (${first.daemonSet})${late}`)];
    }
    const idle = agents.find(({ enforces }) => enforces === false);
    if (idle && agents.every(({ enforces }) => enforces === false)) {
      return [
        {
          found: `${idle.product} (${idle.daemonSet}) carries the network, and it enforces no network policy as it is set up`,
        },
      ];
    }
    if (nodes.known && nodes.value.length > 0 && nodes.value.every(({ simulated }) => simulated)) {
      return [notKnown("all nodes are simulated: no packet flows")];
    }
    const named = agents.map(({ product }) => product).join(", ");
    return [notKnown(named === "" ? "no network agent that is known" : `${named} may or may not`)];
  },
});

/** A policy is applied to a packet after the Service's address has been replaced by that of an endpoint. */
export const apiServerPort = defineClusterRule({
  id: "api-server-port",
  title: "an API server that the training pods may reach",
  severity: "fatal",
  consequence:
    "the agent loops can make no sandbox: every trial waits for the API server until it is given up",
  remedy: "write its ports into network.api_server_ports of the site",
  source: "https://kubernetes.io/docs/concepts/services-networking/network-policies/",
  *check({ facts: { nodes, apiServerPorts }, settings: { site } }) {
    if (site.kind === "docker") return;
    if (nodes.known && nodes.value.length > 0 && nodes.value.every(({ simulated }) => simulated)) {
      yield notRead("all nodes are simulated: no packet flows");
      return;
    }
    if (!apiServerPorts.known) {
      yield notRead(apiServerPorts.reason);
      return;
    }
    const open = site.network.api_server_ports;
    const closed = apiServerPorts.value.filter((port) => !open.includes(port));
    const path = ["site", "network", "api_server_ports"];
    if (closed.length === 0) yield met(`it answers on ${apiServerPorts.value.join(", ")}`);
    else yield { path, found: `is ${open.join(", ")}, and it answers on ${closed.join(", ")}` };
  },
});

function notKnown(reason: string): Verdict {
  const remedy = "rely on nothing that no proof has shown: outputs.isolation says what was";
  return { ...notRead(reason), remedy };
}

/** Ray and the agent loops advertise the pod's IPv4 address, and the proxy's URL names one. */
export const podIpv4 = defineClusterRule({
  id: "pod-ipv4",
  title: "pods with IPv4 addresses",
  severity: "fatal",
  consequence: "nodes cannot find each other, and agents cannot reach the model",
  remedy: "use a cluster whose pods have IPv4 addresses, alone or beside IPv6",
  source: "docs/decisions.md#c-40",
  check: ({ facts: { nodes, pods } }) => {
    if (!nodes.known) return [notRead(nodes.reason)];
    const addresses = [
      ...nodes.value.flatMap(({ podRanges }) => podRanges),
      ...(pods.known ? pods.value.flatMap((pod) => pod.addresses) : []),
    ];
    const [first] = addresses;
    if (first === undefined) {
      return [notRead("no node tells its pods' range, and no pod has an address of its own yet")];
    }
    const v4 = addresses.find((address) => !address.includes(":"));
    return [v4 === undefined ? { found: `only IPv6, such as ${first}` } : met(v4)];
  },
});

/** Policies add up: a second one can only open what ours close. */
export const policiesOurs = defineClusterRule({
  id: "policies-ours",
  standsOn: ["names"],
  title: "no other network policy opens the stack's namespaces",
  severity: "fatal",
  consequence: "policies add up: the pods that it admits reach the policy and the run",
  remedy: "delete the policy",
  source: "https://kubernetes.io/docs/concepts/services-networking/network-policies/",
  check: ({ plan, facts: { policies } }) => {
    const { stack, namespaces } = plan.names;
    if (!policies.known) return [notRead(policies.reason)];
    const foreign = policies.value.filter((policy) => policy.stack !== stack);
    const findings = foreign.flatMap(
      ({ namespaceRole, name, allowsEgress, allowsIngress }): Verdict[] => {
        const opens = [
          // Training pods may reach the outside anyway.
          ...(allowsEgress && namespaceRole !== "train" ? ["out"] : []),
          ...(allowsIngress ? ["in"] : []),
        ];
        if (opens.length === 0) return [];
        const namespace = namespaces[namespaceRole];
        return [
          {
            found: `network policy ${name} in ${namespace} lets more ${opens.join(" and ")}`,
            ...(namespaceRole === "sandbox" && allowsEgress
              ? { consequence: "untrusted code in the sandboxes could send to wherever it allows" }
              : {}),
            remedy: `delete it: kubectl delete networkpolicy ${name} -n ${namespace}`,
          },
        ];
      },
    );
    return findings.length > 0 ? findings : [met(`${foreign.length} of others`)];
  },
});

export const otherPolicies = defineClusterRule({
  id: "policies-known",
  standsOn: ["names"],
  title: "no network policies of other kinds than Kubernetes' own",
  severity: "warn",
  consequence: "they may open what the stack's own close",
  remedy: "look at them: do they select the stack's namespaces?",
  source: "https://network-policy-api.sigs.k8s.io/",
  check: ({ facts: { otherPolicies: others } }) => {
    if (!others.known) return [notRead(others.reason)];
    if (others.value.length === 0) return [met("none")];
    const named = others.value.slice(0, mostNamed).join(", ");
    const remedy = "look at them: do they select the stack's namespaces?";
    return [{ ...notRead(`what ${named} open is not evaluated`), remedy }];
  },
});
