/** A Job that an update waits for: a program that tells by its exit code whether something is as it should be. */
import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { roleLabel } from "../plan/network/index.ts";
import { deletedInBackground, deletedInForeground, type Identity, labelsOf } from "./metadata.ts";
import { type Nodes, podBasis, pullSecrets, uncountedDisruption } from "./pod.ts";
import { type Transform, transformed } from "./transform.ts";

type Container = k8s.types.input.core.v1.Container;

/** What a component says of its check. */
export interface CheckJobArgs {
  identity: Identity;
  /** Name of account and Job. */
  object: string;
  /** Where the pod runs. */
  nodes: Nodes;
  /** Secret with registry credentials. @default the nodes' own */
  pullSecret: pulumi.Input<string> | undefined;
  container: Container;
  volumes: k8s.types.input.core.v1.Volume[];
  /** Of the pod: where one changes, the check is made again. */
  annotations: Readonly<Record<string, string>>;
  /** Minutes that all of it may take. */
  minutes: number;
  transform: Transform<k8s.batch.v1.JobArgs> | undefined;
}

/** The account, which may do nothing, and the Job; children of `parent`, by whose `name` they are called. */
export function makeCheck(
  parent: pulumi.Resource,
  name: string,
  args: CheckJobArgs,
): { account: k8s.core.v1.ServiceAccount; job: k8s.batch.v1.Job } {
  const { identity, object } = args;
  const account = new k8s.core.v1.ServiceAccount(
    `${name}-account`,
    {
      metadata: deletedInBackground(identity, object),
      automountServiceAccountToken: false,
      ...pullSecrets(args.pullSecret),
    },
    { parent },
  );
  const job = {
    name,
    args: {
      metadata: deletedInForeground(identity, object),
      spec: jobSpec(args, account.metadata.name),
    },
    opts: {
      parent,
      deleteBeforeReplace: true,
      replaceOnChanges: ["spec.template"],
      customTimeouts: { create: `${args.minutes + 1}m` },
    },
  };
  return {
    account,
    job: new k8s.batch.v1.Job(...transformed<k8s.batch.v1.JobArgs>(args.transform, job)),
  };
}

function jobSpec(args: CheckJobArgs, account: pulumi.Input<string>) {
  return {
    // The program itself tries again what may pass. A Job that ends by a rule of its failure policy has a reason that
    // Pulumi does not know as a failure (cloud-ready-checks 1.3.0), so that an update would wait all of its time.
    backoffLimit: 0,
    activeDeadlineSeconds: args.minutes * 60,
    podFailurePolicy: { rules: [uncountedDisruption] },
    template: {
      metadata: {
        labels: { ...labelsOf(args.identity), [roleLabel]: args.identity.app },
        annotations: { ...args.annotations },
      },
      spec: {
        restartPolicy: "Never",
        automountServiceAccountToken: false,
        ...podBasis(args.nodes, account),
        securityContext: { seccompProfile: { type: "RuntimeDefault" } },
        containers: [args.container],
        volumes: args.volumes,
      },
    },
  };
}
