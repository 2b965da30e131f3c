/** The Ray cluster of a tier and the run on it. */
import type * as pulumi from "@pulumi/pulumi";
import { containerEnvironment } from "../components/ray/pod-template.ts";
import { RayCluster } from "../components/ray/ray-cluster.ts";
import { TrainerJob } from "../components/training/trainer-job.ts";
import type { Plan } from "../plan/plan.ts";
import type { Foundation } from "./foundation.ts";
import { serveFrozenModels } from "./frozen-models.ts";
import { reapSandboxes } from "./reaper.ts";

export interface Training {
  /** Address of Ray's job API. */
  readonly jobsUrl: pulumi.Output<string>;
  readonly job: TrainerJob;
}

export interface TrainingParts {
  readonly foundation: Foundation;
  /** What must be there before training, beside the foundation: the proof that the sandboxes are closed. */
  readonly before: readonly pulumi.Resource[];
  /** Where agents reach the policy; omitted if agent loops serve it themselves. */
  readonly proxyUrl?: pulumi.Output<string>;
}

export function startTraining(
  plan: Plan,
  { foundation, before, proxyUrl }: TrainingParts,
): Training {
  const { labels, names, rolloutMinutes, storage, trainer } = plan;
  const { provider, train, secrets, serviceAccount } = foundation;
  const ray = new RayCluster(
    "ray",
    {
      labels,
      names,
      ray: plan.ray,
      namespace: train.namespace,
      serviceAccount,
      environment: containerEnvironment(trainer.environment, {
        secrets: secrets.training,
        proxyUrl,
      }),
      mounts: foundation.mounts,
      authenticationSecret: secrets.rayAuthentication,
      startupMinutes: rolloutMinutes,
      disruption: plan.disruption,
    },
    { provider, dependsOn: [...foundation.beforeTraining, ...before] },
  );
  serveFrozenModels(plan, foundation, ray);
  reapSandboxes(plan, foundation, ray);
  const job = new TrainerJob(
    "trainer",
    {
      labels,
      names,
      trainer,
      directories: storage.directories,
      nodes: plan.ray.head,
      namespace: train.namespace,
      serviceAccount,
      jobsUrl: ray.jobsUrl,
      rayToken: secrets.rayToken,
      headTimeoutSeconds: rolloutMinutes * 60,
    },
    { provider, dependsOn: [ray] },
  );
  return { jobsUrl: ray.jobsUrl, job };
}
