import type { Facts } from "./facts.ts";

/** Facts of a cluster that did not say anything. */
export function nothingKnown(reason: string): Facts {
  const missing = { known: false, reason } as const;
  return {
    server: missing,
    rayClusterVersions: missing,
    nodePoolVersions: missing,
    nodes: missing,
    gpuPods: missing,
    namespaces: missing,
    storageClasses: missing,
  };
}
