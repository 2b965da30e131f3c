import type { V1EndpointSlice } from "@kubernetes/client-node";
import type { Fact } from "./fact.ts";
import { type Client, read } from "./client.ts";

/** Ports on which the API server itself answers, behind its Service. */
export function readApiServerPorts(client: Client): Promise<Fact<readonly number[]>> {
  return read(async () => {
    const slices = await client.list<V1EndpointSlice>(
      "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
      { query: { labelSelector: "kubernetes.io/service-name=kubernetes" } },
    );
    const ports = slices.flatMap((slice) => slice.ports ?? []).flatMap(({ port }) => port ?? []);
    return [...new Set(ports)].sort((a, b) => a - b);
  });
}
