import type * as k8s from "@pulumi/kubernetes";
import {
  type Flow,
  linkLocal,
  namespaceName,
  type Peer,
  type PortRange,
  roleLabel,
} from "../../plan/network/index.ts";

type EgressRule = k8s.types.input.networking.v1.NetworkPolicyEgressRule;
type IngressRule = k8s.types.input.networking.v1.NetworkPolicyIngressRule;
type PolicyPeer = k8s.types.input.networking.v1.NetworkPolicyPeer;
type Selector = k8s.types.input.meta.v1.LabelSelector;
type Namespaces = Readonly<Record<string, string>>;

/** The pods of our own end of a flow. */
export function selectorOf(peer: Peer): Selector {
  if (peer.kind !== "pods") return {};
  if (peer.role !== undefined) return { matchLabels: { [roleLabel]: peer.role } };
  if (peer.except === undefined) return {};
  return { matchExpressions: [{ key: roleLabel, operator: "NotIn", values: [peer.except] }] };
}

export function egressRule(flow: Flow, namespaces: Namespaces): EgressRule {
  return { to: policyPeers(flow.to, namespaces), ...portsOf(flow.ports) };
}

export function ingressRule(flow: Flow, namespaces: Namespaces): IngressRule {
  return { from: policyPeers(flow.from, namespaces), ...portsOf(flow.ports) };
}

function policyPeers(peer: Peer, namespaces: Namespaces): PolicyPeer[] {
  switch (peer.kind) {
    case "pods":
      return [
        {
          namespaceSelector: {
            matchLabels: { [namespaceName]: namespaces[peer.namespaceRole] ?? "" },
          },
          podSelector: selectorOf(peer),
        },
      ];
    case "foreign":
      return [
        {
          namespaceSelector: { matchLabels: { [namespaceName]: peer.namespace } },
          podSelector: { matchLabels: { ...peer.labels } },
        },
      ];
    case "anywhere":
      return [
        { ipBlock: { cidr: "0.0.0.0/0", except: [...linkLocal.v4] } },
        { ipBlock: { cidr: "::/0", except: [...linkLocal.v6] } },
      ];
  }
}

function portsOf(ports: readonly PortRange[]): Pick<EgressRule, "ports"> {
  if (ports.length === 0) return {};
  return {
    ports: ports.map(({ protocol, from, to }) => ({
      protocol,
      port: from,
      ...(to === from ? {} : { endPort: to }),
    })),
  };
}
