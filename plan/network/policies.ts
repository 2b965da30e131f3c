/** The NetworkPolicies that a flow needs in a namespace. */
import type { Flow, Peer } from "./flows.ts";
import { isDeepStrictEqual } from "node:util";
import type { NamespaceRole } from "../names.ts";

/** One policy: the pods that it selects, and which directions of the flow it allows. */
export interface FlowPolicy {
  readonly name: string;
  readonly peer: Peer;
  readonly leaves: boolean;
  readonly enters: boolean;
}

/** A flow between different pods of one namespace needs a policy for each; between the same pods, one for both. */
export function policiesOf({ name, from, to }: Flow, namespaceRole: NamespaceRole): FlowPolicy[] {
  const leaves = isHere(from, namespaceRole);
  const enters = isHere(to, namespaceRole);
  if (leaves && enters && isDeepStrictEqual(from, to))
    return [{ name, peer: from, leaves, enters }];
  return [
    ...(leaves ? [{ name, peer: from, leaves, enters: false }] : []),
    ...(enters ? [{ name: leaves ? `${name}-in` : name, peer: to, leaves: false, enters }] : []),
  ];
}

function isHere(peer: Peer, namespaceRole: NamespaceRole): boolean {
  return peer.kind === "pods" && peer.namespaceRole === namespaceRole;
}
