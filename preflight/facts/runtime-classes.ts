import type { V1RuntimeClass } from "@kubernetes/client-node";
import type { Fact } from "./fact.ts";
import { type Client, read } from "./client.ts";

/** Names of the RuntimeClasses, such as `gvisor`. */
export function readRuntimeClasses(client: Client): Promise<Fact<readonly string[]>> {
  return read(async () => {
    const classes = await client.list<V1RuntimeClass>("/apis/node.k8s.io/v1/runtimeclasses");
    return classes.map(({ metadata }) => metadata?.name ?? "");
  });
}
