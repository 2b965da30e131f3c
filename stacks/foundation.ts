/** What every tier stands on: namespaces with their policies, secrets, volumes, bounds and accounts. */
import type * as pulumi from "@pulumi/pulumi";
import { TrainingPriority } from "../components/compute/training-priority.ts";
import { Compartment } from "../components/isolation/compartment.ts";
import { ImagePrepull } from "../components/sandbox/image-prepull.ts";
import { SandboxBounds } from "../components/sandbox/sandbox-bounds.ts";
import { SandboxTraffic } from "../components/sandbox/sandbox-traffic.ts";
import { StackSecrets } from "../components/secrets/stack-secrets.ts";
import { RunVolume } from "../components/storage/run-volume.ts";
import { TrainerAccount } from "../components/training/trainer-account.ts";
import type { CompartmentPlan } from "../plan/network/index.ts";
import type { Plan } from "../plan/plan.ts";
import type { Cluster } from "./cluster.ts";
import { nodes } from "./nodes.ts";

/** Secrets that the user stored in the stack. */
export interface UserSecrets {
  readonly wandbApiKey?: pulumi.Output<string> | undefined;
  readonly registryCredentials?: pulumi.Output<string> | undefined;
}

export type Foundation = ReturnType<typeof layFoundation>;

export function layFoundation(plan: Plan, cluster: Cluster, user: UserSecrets) {
  const { labels, names, storage } = plan;
  const { provider, adopting: adoptWith } = cluster;
  const compartment = (of: CompartmentPlan) =>
    new Compartment(
      of.compartment,
      { labels, names, plan: of, flows: plan.flows, adoptWith },
      { provider },
    );
  const train = compartment(plan.compartments.train);
  const proxy = plan.compartments.proxy && compartment(plan.compartments.proxy);
  const sandbox = compartment(plan.compartments.sandbox);
  const inTrain = { provider, dependsOn: [train] };
  const inSandbox = { provider, dependsOn: [sandbox], deletedWith: sandbox.resource };

  const secrets = new StackSecrets(
    "secrets",
    {
      labels,
      namespaces: {
        train: train.namespace,
        proxy: proxy?.namespace,
        sandbox: sandbox.namespace,
      },
      ...user,
    },
    { provider },
  );
  const mounts = storage.volumes.map((volume) => {
    const { claimName } = new RunVolume(
      volume.name,
      { labels, volume, stack: names.stack, namespace: train.namespace, adoptWith },
      inTrain,
    );
    return { ...volume, claimName };
  });
  const bounds = new SandboxBounds(
    "sandbox-bounds",
    {
      labels,
      names,
      sandboxes: plan.sandboxes,
      namespace: sandbox.namespace,
      pullSecret: secrets.pull.sandbox,
      adoptWith,
    },
    inSandbox,
  );
  const account = new TrainerAccount(
    "trainer-account",
    {
      labels,
      account: names.trainerServiceAccount,
      namespace: train.namespace,
      sandboxNamespace: sandbox.namespace,
      pullSecret: secrets.pull.train,
    },
    inTrain,
  );
  const priority = new TrainingPriority(
    "training-priority",
    { labels, object: names.priorityClass },
    { provider },
  );
  const traffic = new SandboxTraffic(
    "sandbox-traffic",
    {
      labels,
      object: names.sandboxAdmission,
      account: names.trainerServiceAccount,
      accountNamespace: train.namespace,
      namespace: sandbox.namespace,
    },
    { provider },
  );
  if (plan.prepull) {
    const { prepull } = plan;
    const { namespace } = train;
    new ImagePrepull(
      prepull.name,
      { labels, prepull, namespace, pullSecret: secrets.pull.train },
      inTrain,
    );
  }
  return {
    provider,
    train,
    proxy,
    sandbox,
    secrets,
    mounts,
    serviceAccount: account.serviceAccount,
    /** No training before the sandboxes' namespace is closed and bounded. */
    beforeTraining: [
      train,
      sandbox,
      bounds,
      account,
      priority,
      traffic,
      ...nodes(plan, { provider }),
    ],
  };
}
