/** The NetworkPolicies that a flow needs in a namespace. */
import type { Flow, Peer } from "./flows.ts";
import { isDeepStrictEqual } from "node:util";
import type { Compartment } from "../names.ts";

/** One policy: the pods that it selects, and which directions of the flow it allows. */
export interface FlowPolicy {
  readonly name: string;
  readonly peer: Peer;
  readonly leaves: boolean;
  readonly enters: boolean;
}

/** A flow between different pods of one namespace needs a policy for each; between the same pods, one for both. */
export function policiesOf({ name, from, to }: Flow, compartment: Compartment): FlowPolicy[] {
  const leaves = isHere(from, compartment);
  const enters = isHere(to, compartment);
  if (leaves && enters && isDeepStrictEqual(from, to))
    return [{ name, peer: from, leaves, enters }];
  return [
    ...(leaves ? [{ name, peer: from, leaves, enters: false }] : []),
    ...(enters ? [{ name: leaves ? `${name}-in` : name, peer: to, leaves: false, enters }] : []),
  ];
}

function isHere(peer: Peer, compartment: Compartment): boolean {
  return peer.kind === "pods" && peer.compartment === compartment;
}
