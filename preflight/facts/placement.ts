/** Which pod may run on which node, as far as labels, taints and claims decide. */
import { claimKey } from "../../plan/nodes/index.ts";
import type { Plan } from "../../plan/plan.ts";
import type { NodeFact } from "./nodes.ts";

interface Toleration {
  readonly key?: string | undefined;
  readonly operator?: string | undefined;
  readonly value?: string | undefined;
  readonly effect?: string | undefined;
}

export function matches(node: NodeFact, selector: readonly (readonly [string, string])[]): boolean {
  return selector.every(([key, value]) => node.labels[key] === value);
}

/** GPUs of a node that the stack's GPU pods ask for by labels; 0 where they would not go. */
export function gpusFor({ gpuPlacement, gpuDemand, nodeClaim }: Plan, node: NodeFact): number {
  const selector = Object.entries(gpuPlacement.nodeSelector)
    // A claimed node gets this label only in the course of the update.
    .filter(([key]) => !(nodeClaim && key in nodeClaim.label));
  return matches(node, selector) ? Number(node.allocatable[gpuDemand.resource] ?? 0) : 0;
}

/** Nodes of one purpose that the site names; those of Karpenter's pools are made later. */
export interface NodeChoice {
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
}

/** Whether pods of the placement could be put on the node, by labels and taints. */
export function admits(placement: NodeChoice, node: NodeFact): boolean {
  return (
    matches(node, Object.entries(placement.nodeSelector)) && tolerates(placement.tolerations, node)
  );
}

/** Whether some pod of the stack could be put on the node, by labels. */
export function isOfStack(plan: Plan, node: NodeFact): boolean {
  return (
    gpusFor(plan, node) > 0 ||
    [plan.ray.head, plan.sandboxes].some(({ nodeSelector }) =>
      matches(node, Object.entries(nodeSelector)),
    )
  );
}

export function madeByKarpenter({ nodePools }: Plan): boolean {
  return nodePools.some(({ purpose }) => purpose === "gpu");
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
