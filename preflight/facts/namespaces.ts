import type { V1Namespace } from "@kubernetes/client-node";
import { namespaceRoles, type Names } from "../../plan/names.ts";
import type { Fact } from "./fact.ts";
import { type Client, ifThere, read } from "./client.ts";

export interface NamespaceFact {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly terminating: boolean;
}

/** Those of the stack's namespaces that are there already. */
export function readNamespaces(
  client: Client,
  { namespaces }: Names,
): Promise<Fact<readonly NamespaceFact[]>> {
  return read(async () => {
    const found = await Promise.all(
      namespaceRoles.map((name) =>
        ifThere(client.get<V1Namespace>(`/api/v1/namespaces/${namespaces[name]}`)),
      ),
    );
    return found.flatMap((namespace) =>
      namespace === undefined
        ? []
        : [
            {
              name: namespace.metadata?.name ?? "",
              labels: namespace.metadata?.labels ?? {},
              terminating: namespace.status?.phase === "Terminating",
            },
          ],
    );
  });
}
