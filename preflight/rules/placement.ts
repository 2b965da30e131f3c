/** Which pod may run on which node, as far as labels, taints and claims decide. */
import { claimKey } from "../../config/plan/node-claim.ts";
import type { NodeFact } from "../facts/facts.ts";

interface Toleration {
  readonly key?: string | undefined;
  readonly operator?: string | undefined;
  readonly value?: string | undefined;
  readonly effect?: string | undefined;
}

export function matches(node: NodeFact, selector: readonly (readonly [string, string])[]): boolean {
  return selector.every(([key, value]) => node.labels[key] === value);
}

/** Whether no taint keeps a pod with these tolerations away. */
export function tolerates(tolerations: readonly Toleration[], { taints }: NodeFact): boolean {
  return taints
    .filter(({ effect }) => effect !== "PreferNoSchedule")
    .every((taint) =>
      tolerations.some(
        ({ key, operator, value, effect }) =>
          (key === undefined || key === taint.key) &&
          (effect === undefined || effect === taint.effect) &&
          (operator === "Exists" || (value ?? "") === (taint.value ?? "")),
      ),
    );
}

/** The stack that has reserved a node. */
export function claimOf({ labels, taints }: NodeFact): string | undefined {
  return labels[claimKey] ?? taints.find(({ key }) => key === claimKey)?.value;
}
