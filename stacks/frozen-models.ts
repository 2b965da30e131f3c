import type * as pulumi from "@pulumi/pulumi";
import { FrozenModel } from "../components/inference/frozen-model.ts";
import type { Mount } from "../components/ray/pod-template.ts";
import type { Plan } from "../config/plan/plan.ts";

/** Where the frozen models live: in the training namespace, since they mount its models volume. */
export interface TrainingNamespace {
  readonly namespace: pulumi.Input<string>;
  readonly volumes: readonly Mount[];
  readonly pullSecret: pulumi.Input<string> | undefined;
}

/**
 * The frozen models of a stack. They must depend on its Ray cluster: whose workers need whole nodes must be placed
 * first, and the models take what is left.
 */
export function frozenModels(
  plan: Plan,
  { namespace, volumes, pullSecret }: TrainingNamespace,
  opts: pulumi.ComponentResourceOptions,
): void {
  const models = volumes.find(({ name }) => name === "models");
  if (!models) throw new Error("the Plan has no models volume");
  for (const model of plan.serving) {
    new FrozenModel(
      model.object,
      {
        labels: plan.labels,
        model,
        gpuResource: plan.gpuDemand.resource,
        nodes: plan.gpuPlacement,
        disruption: plan.disruption,
        namespace,
        models,
        pullSecret,
      },
      opts,
    );
  }
}
