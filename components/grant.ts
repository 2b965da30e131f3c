/** What a ServiceAccount may do in one namespace. */
import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { deletedInBackground, type Identity } from "./metadata.ts";

export interface GrantArgs {
  /** Of the objects; its namespace is where the rights hold. */
  identity: Identity;
  /** Name of the objects. */
  object: string;
  rules: readonly k8s.types.input.rbac.v1.PolicyRule[];
  account: { name: pulumi.Input<string>; namespace: pulumi.Input<string> };
}

/** A Role and its RoleBinding; children of `parent`, by whose `name` they are called. */
export function grant(
  parent: pulumi.Resource,
  name: string,
  { identity, object, rules, account }: GrantArgs,
): { role: k8s.rbac.v1.Role; binding: k8s.rbac.v1.RoleBinding } {
  const metadata = deletedInBackground(identity, object);
  const role = new k8s.rbac.v1.Role(`${name}-role`, { metadata, rules: [...rules] }, { parent });
  const binding = new k8s.rbac.v1.RoleBinding(
    `${name}-binding`,
    {
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role.metadata.name },
      subjects: [{ kind: "ServiceAccount", ...account }],
    },
    { parent },
  );
  return { role, binding };
}
