/** What takes away the sandboxes that nobody deletes. */
import type * as pulumi from "@pulumi/pulumi";
import { Reaper } from "../components/sandbox/reaper.ts";
import type { Plan } from "../plan/plan.ts";
import type { Foundation } from "./foundation.ts";

/** @param ray The Ray cluster, whose pods own the sandboxes. */
export function reapSandboxes(
  plan: Plan,
  { provider, train, sandbox, secrets }: Foundation,
  ray: pulumi.Resource & { readonly jobsUrl: pulumi.Output<string> },
): void {
  new Reaper(
    plan.reaper.name,
    {
      labels: plan.labels,
      reaper: plan.reaper,
      stack: plan.names.stack,
      image: plan.trainer.image,
      nodes: plan.ray.head,
      namespace: train.namespace,
      sandboxNamespace: sandbox.namespace,
      jobsUrl: ray.jobsUrl,
      rayToken: secrets.rayToken,
      pullSecret: secrets.pull.train,
      rolloutMinutes: plan.rolloutMinutes,
    },
    { provider, dependsOn: [train, sandbox, ray] },
  );
}
