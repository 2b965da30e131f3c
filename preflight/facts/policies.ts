/** Network policies that others have made. They add up: one that allows is enough. */
import type { V1NetworkPolicy } from "@kubernetes/client-node";
import { type NamespaceRole, namespaceRoles, type Names } from "../../plan/names.ts";
import type { Fact } from "./fact.ts";
import type { Apis } from "./apis.ts";
import { type Client, read } from "./client.ts";

export interface PolicyFact {
  readonly namespaceRole: NamespaceRole;
  readonly name: string;
  readonly stack: string | undefined;
  /** Whether some pod may send, or be sent to, more than before. */
  readonly allowsEgress: boolean;
  readonly allowsIngress: boolean;
}

/** The network policies in the stack's namespaces, its own among them. */
export function readPolicies(
  client: Client,
  { namespaces }: Names,
): Promise<Fact<readonly PolicyFact[]>> {
  return read(async () => {
    const lists = await Promise.all(
      namespaceRoles.map(async (namespaceRole) => {
        const path = `/apis/networking.k8s.io/v1/namespaces/${namespaces[namespaceRole]}/networkpolicies`;
        const policies = await client.list<V1NetworkPolicy>(path);
        return policies.map((policy) => ({ namespaceRole, ...describePolicy(policy) }));
      }),
    );
    return lists.flat();
  });
}

function describePolicy({ metadata, spec }: V1NetworkPolicy): Omit<PolicyFact, "namespaceRole"> {
  return {
    name: metadata?.name ?? "",
    stack: metadata?.labels?.["swe-rl.dev/stack"],
    allowsEgress: (spec?.egress ?? []).length > 0,
    allowsIngress: (spec?.ingress ?? []).length > 0,
  };
}

/** Kinds of network policy beside Kubernetes' own; all may open what ours close. */
const otherKinds = [
  "clusternetworkpolicies.policy.networking.k8s.io",
  "adminnetworkpolicies.policy.networking.k8s.io",
  "baselineadminnetworkpolicies.policy.networking.k8s.io",
  "ciliumclusterwidenetworkpolicies.cilium.io",
  "ciliumnetworkpolicies.cilium.io",
  "globalnetworkpolicies.crd.projectcalico.org",
  "networkpolicies.crd.projectcalico.org",
  "clusternetworkpolicies.crd.antrea.io",
  "networkpolicies.crd.antrea.io",
] as const;

/** Objects of the other kinds that are for the whole cluster or stand in one of the stack's namespaces. */
export function readOtherPolicies(
  client: Client,
  apis: Promise<Fact<Apis>>,
  { namespaces }: Names,
): Promise<Fact<readonly string[]>> {
  return read(async () => {
    const known = await apis;
    if (!known.known) throw new Error(known.reason);
    const lists = await Promise.all(
      otherKinds.map(async (kind) => {
        const version = known.value.get(kind)?.at(0);
        if (version === undefined) return [];
        const [plural = "", ...group] = kind.split(".");
        const path = `/apis/${group.join(".")}/${version}/${plural}`;
        const items = await client.list<{ metadata: { name: string; namespace?: string } }>(path);
        return items
          .filter(
            ({ metadata: { namespace } }) =>
              namespace === undefined || Object.values(namespaces).includes(namespace),
          )
          .map(({ metadata: { name, namespace } }) =>
            [`${plural}.${group.join(".")}`, [namespace, name].filter(Boolean).join("/")].join(" "),
          );
      }),
    );
    return lists.flat();
  });
}
