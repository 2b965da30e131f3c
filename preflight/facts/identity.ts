import type { V1Namespace } from "@kubernetes/client-node";
import type { Fact } from "./fact.ts";
import { ApiError, type Client, read } from "./client.ts";

/**
 * What tells a cluster from every other: the uid of its namespace kube-system, which lives as long as the cluster
 * (https://github.com/kubernetes/kubernetes/issues/77487).
 */
export function readIdentity(client: Client): Promise<Fact<string>> {
  return read(async () => {
    const { metadata } = await client.get<V1Namespace>("/api/v1/namespaces/kube-system");
    if (metadata?.uid === undefined) throw new ApiError(500, "kube-system has no uid");
    return metadata.uid;
  });
}
