import type { Plan } from "../../plan/plan.ts";
import { kindsOf, type ObjectKind } from "../../plan/resources/index.ts";
import type { Fact } from "./fact.ts";
import { type Client, ifThere, read } from "./client.ts";
import type { NamespaceFact } from "./namespaces.ts";

interface Metadata {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

const metadataOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/** Objects with the names of the stack's own that belong to other owners, as `kind namespace/name`. */
export function readNamesakes(
  client: Client,
  namespaces: Promise<Fact<readonly NamespaceFact[]>>,
  plan: Plan,
): Promise<Fact<readonly string[]>> {
  return read(async () => {
    const known = await namespaces;
    if (!known.known) throw new Error(known.reason);
    const isThere = (name: string | undefined) =>
      name === undefined || known.value.some((namespace) => namespace.name === name);
    const kinds = kindsOf(plan)
      // Namespaces have a rule of their own.
      .filter(({ resource }) => resource !== "namespaces")
      .map((kind) => ({ ...kind, names: namesOf(kind) }))
      .filter(({ names, namespace }) => names.length > 0 && isThere(namespace));
    const lists = await Promise.all(
      kinds.map(async (kind) => {
        const strangers = await ifThere(
          client.list<Metadata>(pathOf(kind), {
            accept: metadataOnly,
            query: { labelSelector: `swe-rl.dev/stack!=${plan.names.stack}` },
          }),
        );
        return (strangers ?? [])
          .filter(({ metadata }) => kind.names.includes(metadata.name))
          .map(({ metadata }) => {
            const place = [kind.namespace, metadata.name].filter(Boolean).join("/");
            return `${kind.resource} ${place}`;
          });
      }),
    );
    return lists.flat();
  });
}

/** Names that the Plan fixes and no object may have before the stack is made. */
function namesOf({ objects }: ObjectKind): string[] {
  return objects.flatMap(({ how, name }) => (how === "create" && name !== undefined ? [name] : []));
}

/** Where the API server has the kind. */
function pathOf({ group, version, resource, namespace }: ObjectKind): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespace === undefined
    ? `${root}/${resource}`
    : `${root}/namespaces/${namespace}/${resource}`;
}
