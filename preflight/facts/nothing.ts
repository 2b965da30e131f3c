import type { Facts } from "./facts.ts";

/** Facts of a cluster that did not say anything. */
export function nothingKnown(reason: string): Facts {
  const missing = { known: false, reason } as const;
  return {
    server: missing,
    identity: missing,
    features: missing,
    rayClusterVersions: missing,
    nodePoolVersions: missing,
    operator: missing,
    nodes: missing,
    pods: missing,
    namespaces: missing,
    namesakes: missing,
    storageClasses: missing,
    volumes: missing,
    claims: missing,
    missingRights: missing,
    bounds: missing,
    admission: missing,
    networkAgents: missing,
    policies: missing,
    otherPolicies: missing,
    runtimeClasses: missing,
    run: missing,
    apiServerPorts: missing,
    attempts: missing,
    builder: missing,
  };
}
