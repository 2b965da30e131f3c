import type { KubernetesObject } from "./recorder.ts";

/** A pod, or an address outside the cluster, as far as network policies see it. */
export type Endpoint =
  | { readonly namespace: string; readonly labels: Record<string, string> }
  | { readonly address: string };

export interface Traffic {
  readonly protocol: "TCP" | "UDP";
  readonly port: number;
}

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: "NotIn"; values: string[] }[];
}
interface Peer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}
interface Port {
  protocol: string;
  port: number;
  endPort?: number;
}
interface Spec {
  podSelector: Selector;
  policyTypes: string[];
  ingress?: { from?: Peer[]; ports?: Port[] }[];
  egress?: { to?: Peer[]; ports?: Port[] }[];
}

/** Evaluates NetworkPolicies by the rules of networking.k8s.io/v1: isolated per direction, allowed by any rule, both ends must allow. */
export class Connectivity {
  readonly #policies: readonly { namespace: string; spec: Spec }[];

  constructor(policies: readonly KubernetesObject[]) {
    this.#policies = policies.map((policy) => ({
      namespace: policy.metadata.namespace ?? "",
      spec: policy["spec"] as Spec,
    }));
  }

  allows(from: Endpoint, to: Endpoint, flow: Traffic): boolean {
    const leaves = this.#admits("Egress", [from, to], flow);
    return leaves && this.#admits("Ingress", [to, from], flow);
  }

  #admits(direction: "Egress" | "Ingress", [own, other]: [Endpoint, Endpoint], flow: Traffic) {
    if ("address" in own) return true;
    const selecting = this.#policies.filter(
      ({ namespace, spec }) =>
        namespace === own.namespace &&
        spec.policyTypes.includes(direction) &&
        matches(spec.podSelector, own.labels),
    );
    if (selecting.length === 0) return true;
    return selecting.some(({ namespace, spec }) => {
      const rules =
        direction === "Egress"
          ? (spec.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }))
          : (spec.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }));
      return rules.some(
        ({ peers, ports }) =>
          (peers === undefined || peers.some((peer) => matchesPeer(peer, other, namespace))) &&
          (ports === undefined || ports.some((candidate) => matchesPort(candidate, flow))),
      );
    });
  }
}

function matches(selector: Selector, labels: Record<string, string>): boolean {
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
    // NotIn, the only operator that our policies use: true as well of pods without the label.
    (selector.matchExpressions ?? []).every(
      ({ key, values }) => !values.includes(labels[key] ?? ""),
    )
  );
}

function matchesPeer(peer: Peer, other: Endpoint, ownNamespace: string): boolean {
  if (peer.ipBlock) {
    // Whether an address block covers pods is up to the network plugin; ours is meant for the world outside.
    if (!("address" in other)) return false;
    const { cidr, except = [] } = peer.ipBlock;
    return contains(cidr, other.address) && !except.some((block) => contains(block, other.address));
  }
  if ("address" in other) return false;
  const inNamespace = peer.namespaceSelector
    ? matches(peer.namespaceSelector, { "kubernetes.io/metadata.name": other.namespace })
    : other.namespace === ownNamespace;
  return inNamespace && matches(peer.podSelector ?? {}, other.labels);
}

function matchesPort(port: Port, flow: Traffic): boolean {
  return (
    port.protocol === flow.protocol &&
    flow.port >= port.port &&
    flow.port <= (port.endPort ?? port.port)
  );
}

function contains(cidr: string, address: string): boolean {
  const [network = "", bits = "0"] = cidr.split("/");
  if (network.includes(":") !== address.includes(":")) return false;
  const [a, b] = [network, address].map(toBits);
  return a?.slice(0, Number(bits)) === b?.slice(0, Number(bits));
}

function toBits(address: string): string {
  if (!address.includes(":")) {
    return address
      .split(".")
      .map((part) => Number(part).toString(2).padStart(8, "0"))
      .join("");
  }
  const [head = "", tail] = address.split("::");
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const middle = Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...middle, ...right]
    .map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0"))
    .join("");
}
