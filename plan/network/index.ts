export { fixedAddresses, type FixedAddresses } from "./docker-addresses.ts";
export {
  describePeer,
  type Flow,
  linkLocal,
  namespaceName,
  type Peer,
  planFlows,
  type PortRange,
  type Role,
  roleLabel,
  withServingFlows,
} from "./flows.ts";
export {
  exceptAccepted,
  type GatePlan,
  type Isolation,
  type ListenerPlan,
  planIsolation,
  proofGateSeconds,
  proofPods,
} from "./gate.ts";
export {
  type NamespacePlan,
  type Namespaces,
  planNamespaces,
  type PodSecurity,
} from "./namespaces.ts";
export { policiesOf } from "./policies.ts";
export { addressIn, capacityOf, flawOf, overlap, upperHalf } from "./subnet.ts";
export { peerPort } from "./targets.ts";
