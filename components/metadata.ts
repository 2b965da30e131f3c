import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

export type Labels = Readonly<Record<string, string>>;
type ObjectMeta = k8s.types.input.meta.v1.ObjectMeta;

/** What names an object, apart from its stack. */
export interface Identity {
  /** Labels of the whole stack. */
  readonly labels: Labels;
  readonly namespace?: pulumi.Input<string>;
  /** The program or thing, for example `litellm` (`app.kubernetes.io/name`). */
  readonly app: string;
  /** Its part in the run, for example `proxy` (`app.kubernetes.io/component`). */
  readonly component: string;
}

export function labelsOf({ labels, app, component }: Identity): Record<string, string> {
  return {
    ...labels,
    "app.kubernetes.io/name": app,
    "app.kubernetes.io/component": component,
  };
}

/** Metadata of an object that owns others: their deletion is awaited before its own. Without a name, Pulumi makes one up. */
export function deletedInForeground(
  identity: Identity,
  name?: string,
  more: ObjectMeta = {},
): ObjectMeta {
  return {
    ...more,
    ...(name === undefined ? {} : { name }),
    ...(identity.namespace === undefined ? {} : { namespace: identity.namespace }),
    labels: labelsOf(identity),
  };
}

/**
 * Metadata of an object that owns nothing. Deleted in the background: foreground deletion waits for dependents that
 * cannot exist, and on older Kubernetes plugins sometimes for ever (fixed in plugin 4.22.1).
 */
export function deletedInBackground(
  identity: Identity,
  name?: string,
  more: ObjectMeta = {},
): ObjectMeta {
  const annotations = {
    ...(more.annotations as Record<string, pulumi.Input<string>> | undefined),
    "pulumi.com/deletionPropagationPolicy": "background",
  };
  return deletedInForeground(identity, name, { ...more, annotations });
}
