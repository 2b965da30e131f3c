import type { Basis } from "../host.ts";
import type { Toleration } from "../../config/schema/scalars.ts";

/** Label and taint of a claimed node; their value is the stack. */
export const claimKey = "swe-rl.dev/claimed-by";

/** GPU nodes that a stack reserves for itself until it is destroyed. */
export interface NodeClaim {
  readonly nodes: readonly string[];
  /** Put on the nodes and demanded by the stack's pods. */
  readonly label: Readonly<Record<string, string>>;
  /** Keeps every other pod away. */
  readonly taint: { readonly key: string; readonly value: string; readonly effect: "NoSchedule" };
  readonly toleration: Toleration;
}

/** Undefined where the site names no nodes: then the stack takes any node that its selector matches. */
export function planNodeClaim(settings: Basis): NodeClaim | undefined {
  const nodes = settings.host.gpu_nodes.claim;
  if (nodes.length === 0) return undefined;
  const [key, value, effect] = [claimKey, settings.stack, "NoSchedule"] as const;
  return {
    nodes,
    label: { [key]: value },
    taint: { key, value, effect },
    toleration: { key, operator: "Equal", value, effect },
  };
}
