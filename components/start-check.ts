import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { attemptMark } from "../plan/attempts.ts";
import type { NamespaceRole } from "../plan/names.ts";
import type { StartCheck as StartCheckPlan } from "../plan/start-check.ts";
import { makeCheck, type Rights } from "./check-job.ts";
import type { Labels } from "./metadata.ts";
import { type Nodes, programMount, programVolume, resourcesOf, unprivileged } from "./pod.ts";
import { programDirectory, programs } from "./runtime-program.ts";
import type { Transform } from "./transform.ts";
import type { Workload } from "./workload.ts";

export interface StartCheckArgs {
  /** Name of the Job. */
  object: string;
  check: Omit<StartCheckPlan, "image"> & { image: pulumi.Input<string> };
  workloads: readonly Workload[];
  /** Their namespaces. */
  readsIn: Readonly<Partial<Record<NamespaceRole, pulumi.Input<string>>>>;
  /** Where the pod runs. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** Tells it from one that has failed; empty: none has. */
  attempt: string;
  /** Minutes that the workloads may take. */
  minutes: number;
  /** @default no change */
  transform?: {
    /** @default no change */
    job?: Transform<k8s.batch.v1.JobArgs>;
  };
}

/** Minutes beside the wait: image and node of the pod that waits. */
const ownMinutes = 5;

/**
 * Waits until workloads have started, and until changed ones have again. Awaited: an update ends early where a pod cannot
 * start, with what Kubernetes and the pod's log say of it. It may read the workloads of a namespace, its pods and their
 * logs and events.
 */
export class StartCheck extends pulumi.ComponentResource {
  public readonly job: k8s.batch.v1.Job;

  constructor(name: string, args: StartCheckArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform = {}, ...inputs } = args;
    super("swe-rl:index:StartCheck", name, inputs, opts);
    const { labels, namespace, object } = args;
    const identity = { labels, namespace, app: object, component: "start" };
    const files = programs(
      `${name}-programs`,
      { identity: { ...identity, app: `${object}-programs` }, program: "start_check" },
      { parent: this },
    );
    const { job } = makeCheck(this, name, {
      identity,
      object,
      nodes: args.nodes,
      pullSecret: args.pullSecret,
      rights: rightsOf(args),
      container: checker(args),
      volumes: [programVolume(files)],
      annotations: {
        "swe-rl.dev/awaits": pulumi
          .all(args.workloads.map(({ mark }) => mark))
          .apply((marks) => marks.join(" ")),
        ...attemptMark(args.attempt),
      },
      minutes: args.minutes + ownMinutes,
      transform: transform.job,
    });
    this.job = job;
    this.registerOutputs({ job: this.job.metadata.name });
  }
}

const resources = {
  Deployment: { apiGroups: ["apps"], resources: ["deployments"] },
  Job: { apiGroups: ["batch"], resources: ["jobs"] },
  RayCluster: { apiGroups: ["ray.io"], resources: ["rayclusters"] },
} satisfies Record<Workload["kind"], object>;

function rightsOf({ readsIn, workloads }: StartCheckArgs): Rights[] {
  const kinds = [...new Set(workloads.map(({ kind }) => kind))];
  return Object.entries(readsIn).map(([suffix, namespace]) => ({
    suffix,
    namespace,
    rules: [
      { apiGroups: [""], resources: ["pods", "events"], verbs: ["list"] },
      { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
      ...kinds.map((kind) => ({ ...resources[kind], verbs: ["get"] })),
    ],
  }));
}

function checker(args: StartCheckArgs): k8s.types.input.core.v1.Container {
  const { check, workloads, minutes } = args;
  const listed = pulumi.jsonStringify(
    workloads.map(({ kind, namespace, name, ends = false }) => ({ kind, namespace, name, ends })),
  );
  const variables = {
    WORKLOADS: listed,
    TIMEOUT_SECONDS: String(minutes * 60),
    ...(check.nodeSeconds === undefined ? {} : { NODE_SECONDS: String(check.nodeSeconds) }),
  };
  return {
    name: "check",
    image: check.image,
    command: ["python3", "-u", `${programDirectory}/check_start.py`],
    // The provider shows the last lines where the Job fails: what cannot start, and why.
    terminationMessagePolicy: "FallbackToLogsOnError",
    securityContext: unprivileged,
    env: Object.entries(variables).map(([name, value]) => ({ name, value })),
    resources: resourcesOf(check.requests),
    volumeMounts: [programMount],
  };
}
