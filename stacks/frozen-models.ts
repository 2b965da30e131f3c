/** Models for evaluation and judging beside a tier's run. */
import type * as pulumi from "@pulumi/pulumi";
import { FrozenModel } from "../components/inference/frozen-model.ts";
import type { Plan } from "../plan/plan.ts";
import type { Foundation } from "./foundation.ts";

/**
 * They live in the training namespace, since they mount its models volume.
 * @param ray The Ray cluster, which is placed first: its workers need whole nodes, and the models take what is left.
 */
export function serveFrozenModels(
  plan: Plan,
  { provider, train, mounts, secrets }: Foundation,
  ray: pulumi.Resource,
): void {
  const models = mounts.find(({ name }) => name === "models");
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
        namespace: train.namespace,
        models,
        pullSecret: secrets.pull.train,
      },
      { provider, dependsOn: [train, ray] },
    );
  }
}
