/** Everything that a stack makes on a cluster, as a function of its Plan: preflight's and the tests' only list. */
import type { Plan } from "../plan.ts";
import { objectsOf, type PlannedObject } from "./objects.ts";
import { type PlannedPods, podsOf } from "./pods.ts";

export interface Resources {
  readonly objects: readonly PlannedObject[];
  readonly pods: readonly PlannedPods[];
}

export function resourcesOf(plan: Plan): Resources {
  return { objects: objectsOf(plan), pods: podsOf(plan) };
}

/** Objects of one kind in one namespace. */
export interface ObjectKind extends Pick<PlannedObject, "resource" | "namespace"> {
  readonly group: string;
  readonly version: string;
  readonly objects: readonly PlannedObject[];
}

/** A stack's objects by kind and namespace: what rights are granted for, and what the API server lists. */
export function kindsOf(plan: Plan): ObjectKind[] {
  const kinds = Map.groupBy(objectsOf(plan), ({ apiVersion, resource, namespace }) =>
    [apiVersion, resource, namespace].join(" "),
  );
  return [...kinds.values()].flatMap((objects) => {
    const [first] = objects;
    if (!first) return [];
    const [version = "", group = ""] = first.apiVersion.split("/").reverse();
    return [{ group, version, resource: first.resource, namespace: first.namespace, objects }];
  });
}
