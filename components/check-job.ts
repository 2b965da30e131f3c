/** A Job that an update waits for: a program that tells by its exit code whether something is as it should be. */
import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { roleLabel } from "../plan/network/index.ts";
import { grant } from "./grant.ts";
import { deletedInBackground, deletedInForeground, type Identity, labelsOf } from "./metadata.ts";
import { type Nodes, ofGroup, podBasis, pullSecrets, uncountedDisruption } from "./pod.ts";
import { awaitedByCheck, markOf, type Workload } from "./workload.ts";
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
  /** Owns what is in the volumes. @default whatever owns it */
  group?: number | undefined;
  /** What its account may do, by namespace. @default nothing */
  rights?: readonly Rights[];
  /** Whether a StartCheck waits for it, instead of Pulumi. @default false */
  isAwaitedByCheck?: boolean;
  /** Of the pod: where one changes, the check is made again. */
  annotations: Readonly<Record<string, pulumi.Input<string>>>;
  /** Minutes that all of it may take. */
  minutes: number;
  transform: Transform<k8s.batch.v1.JobArgs> | undefined;
}

interface Check {
  readonly account: k8s.core.v1.ServiceAccount;
  readonly job: k8s.batch.v1.Job;
  /** For a check of its start. */
  readonly workload: Workload;
}

/** Rights in a namespace. */
export interface Rights {
  /** Names the grant below the check. */
  readonly suffix: string;
  readonly namespace: pulumi.Input<string>;
  readonly rules: readonly k8s.types.input.rbac.v1.PolicyRule[];
}

/** The account and the Job; children of `parent`, by whose `name` they are called. */
export function makeCheck(parent: pulumi.Resource, name: string, args: CheckJobArgs): Check {
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
  const { rights = [], isAwaitedByCheck = false } = args;
  const grants = rights.map(
    ({ suffix, namespace, rules }) =>
      grant(parent, `${name}-${suffix}`, {
        identity: { ...identity, namespace },
        object,
        rules,
        account: { name: account.metadata.name, namespace: account.metadata.namespace },
      }).binding,
  );
  const job = {
    name,
    args: {
      metadata: isAwaitedByCheck
        ? // Nobody waits for its deletion, so its pod must not hold up another of its name.
          deletedInBackground(identity, object, { annotations: awaitedByCheck.Job })
        : deletedInForeground(identity, object),
      spec: jobSpec(args, account.metadata.name),
    },
    opts: {
      parent,
      dependsOn: grants,
      deleteBeforeReplace: true,
      replaceOnChanges: ["spec.template"],
      customTimeouts: { create: `${args.minutes + 1}m` },
    },
  };
  const made = transformed<k8s.batch.v1.JobArgs>(args.transform, job);
  return {
    account,
    job: new k8s.batch.v1.Job(...made),
    workload: {
      kind: "Job",
      namespace: account.metadata.namespace,
      name: object,
      mark: markOf(made[1]),
    },
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
        automountServiceAccountToken: (args.rights ?? []).length > 0,
        ...podBasis(args.nodes, account),
        securityContext: { seccompProfile: { type: "RuntimeDefault" }, ...ofGroup(args.group) },
        containers: [args.container],
        volumes: args.volumes,
      },
    },
  };
}
