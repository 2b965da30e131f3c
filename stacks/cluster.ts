import * as k8s from "@pulumi/kubernetes";
import type { KubernetesSite } from "../config/schema/site.ts";

/** The one cluster of a stack. Both providers name its context, so that no command hits whatever is current. */
export interface Cluster {
  /** Provider of everything that a stack owns. */
  readonly provider: k8s.Provider;
  /** Provider of what may be there already: kept volumes and their namespace, and accounts that Kubernetes makes. */
  readonly adopting: k8s.Provider;
  /** Why no proof of the sandboxes' isolation is run; undefined: one is. */
  readonly unproven: string | undefined;
  /** What carries and filters the pods' packets. */
  readonly network: string;
}

export function connect(
  { cluster }: KubernetesSite,
  known: Pick<Cluster, "unproven" | "network">,
): Cluster {
  const { context, kubeconfig } = cluster;
  const access = { context, ...(kubeconfig === undefined ? {} : { kubeconfig }) };
  return {
    ...known,
    provider: new k8s.Provider("cluster", access),
    adopting: new k8s.Provider("cluster-adopting", { ...access, upsertExistingObjects: true }),
  };
}
