import type * as docker from "@pulumi/docker";
import { type Identity, labelsOf } from "../metadata.ts";

/** Labels as Docker takes them. */
export function dockerLabels(
  identity: Omit<Identity, "namespace">,
  more: Readonly<Record<string, string>> = {},
): docker.types.input.ContainerLabel[] {
  return Object.entries({ ...labelsOf(identity), ...more }).map(([label, value]) => ({
    label,
    value,
  }));
}
