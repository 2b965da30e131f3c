/** What the account that runs Pulumi may do, asked of the API server itself. */
import type { V1SelfSubjectAccessReview } from "@kubernetes/client-node";
import type { Plan } from "../../plan/plan.ts";
import { kindsOf } from "../../plan/resources/index.ts";
import type { Fact } from "./fact.ts";
import { type Client, read } from "./client.ts";

/** A right that a stack needs. */
export interface Right {
  readonly verb: string;
  readonly group: string;
  /** With the subresource: `pods/exec`. */
  readonly resource: string;
  readonly namespace: string | undefined;
}

const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/** What Pulumi's provider does with an object in its life; it lists and watches while it waits for one. */
const verbs = ["get", "list", "watch", "create", "patch", "delete"] as const;

/** What it does with an object that is there before the stack, and stays. */
const patchVerbs = ["get", "patch"] as const;

/** Every right, from the Plan's list of objects. */
export function rightsOf(plan: Plan): Right[] {
  const { sandbox, train, proxy } = plan.names.namespaces;
  const granted = (resource: string, given: readonly string[], namespace = sandbox): Right[] =>
    given.map((verb) => ({ verb, group: "", resource, namespace }));
  const awaited = plan.namespaces.proxy ? [train, proxy] : [train];
  return [
    ...kindsOf(plan).flatMap(({ group, resource, namespace, objects }) =>
      (objects.every(({ how }) => how === "patch") ? patchVerbs : verbs).map((verb) => ({
        verb,
        group,
        resource,
        namespace,
      })),
    ),
    // Kubernetes forbids granting rights that one lacks: these are what the roles of the trainer, the reaper and the
    // checks of what has started grant.
    ...granted("pods", ["create", "get", "list", "delete"]),
    ...granted("pods/exec", ["create", "get"]),
    ...awaited.flatMap((namespace) => [
      ...granted("pods", ["list"], namespace),
      ...granted("pods/log", ["get"], namespace),
      ...granted("events", ["list"], namespace),
    ]),
  ];
}

/** The rights that are missing; none for an account that may do everything, which one question tells. */
export function readMissingRights(client: Client, plan: Plan): Promise<Fact<readonly Right[]>> {
  return read(async () => {
    const everything = { verb: "*", group: "*", resource: "*", namespace: undefined };
    if (await isAllowed(client, everything)) return [];
    const rights = rightsOf(plan);
    const allowed = await Promise.all(rights.map((right) => isAllowed(client, right)));
    return rights.filter((_, i) => allowed[i] !== true);
  });
}

async function isAllowed(client: Client, right: Right): Promise<boolean> {
  const [resource = "", subresource] = right.resource.split("/");
  const { verb, group, namespace } = right;
  const review = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    spec: {
      resourceAttributes: {
        verb,
        group,
        resource,
        ...(subresource === undefined ? {} : { subresource }),
        ...(namespace === undefined ? {} : { namespace }),
      },
    },
  };
  const { status } = await client.post<V1SelfSubjectAccessReview>(path, review);
  return status?.allowed === true;
}
