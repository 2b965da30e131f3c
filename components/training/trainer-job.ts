import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { attemptMark } from "../../plan/attempts.ts";
import type { Names } from "../../plan/names.ts";
import { roleLabel } from "../../plan/network/index.ts";
import type { Directories } from "../../plan/storage/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import type { WithImage } from "../images/reference.ts";
import { type Identity, type Labels, labelsOf, deletedInBackground } from "../metadata.ts";
import {
  type Nodes,
  failurePolicy,
  podBasis,
  programMount,
  programVolume,
  resourcesOf,
} from "../pod.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";
import { awaitedByCheck, markOf, type Workload } from "../workload.ts";
import { type Transform, transformed } from "../transform.ts";
import { runSpecification } from "./run-specification.ts";

export interface TrainerJobArgs {
  names: Names;
  trainer: WithImage<Trainer>;
  directories: Directories;
  /** Where the submitter runs: on the nodes of the head, which have the image. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /**
   * Address of Ray's job API.
   * @example "http://ray-head-svc.single-node-train:8265"
   */
  jobsUrl: pulumi.Input<string>;
  rayToken: SecretKey;
  serviceAccount: pulumi.Input<string>;
  /** Tells it from one that has failed; empty: none has. */
  attempt: string;
  /** Seconds that the submitter waits for the head. */
  headTimeoutSeconds: number;
  /** @default no change */
  transform?: {
    /** @default no change */
    job?: Transform<k8s.batch.v1.JobArgs>;
  };
}

/** Where the run's specification is mounted. */
const specDirectory = "/etc/swe-rl";

/** Exit codes of the submitter after which another pod would only fail again: see `runtime/trainer/submit_run.py`. */
const finalFailures = [2, 3, 4, 5];

/** The job that submits the run to Ray and follows it. Not awaited: a run takes days. */
export class TrainerJob extends pulumi.ComponentResource {
  /** What the run is: its command line and where it logs. */
  public readonly specification: k8s.core.v1.ConfigMap;
  public readonly job: k8s.batch.v1.Job;
  /** Awaited until its pod runs. */
  public readonly workload: Workload;

  constructor(name: string, args: TrainerJobArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform = {}, ...inputs } = args;
    super("swe-rl:training:TrainerJob", name, inputs, opts);
    const { labels, namespace } = args;
    const identity = { labels, namespace, app: "trainer", component: "training" };
    this.specification = this.#specification(name, identity, args);
    const files = programs(
      `${name}-programs`,
      { identity: { ...identity, app: "trainer-programs" }, program: "trainer" },
      { parent: this },
    );
    const job = {
      name,
      args: {
        // Nobody waits for its deletion, so its pod must not hold up another of its name. A submitter that is told to end
        // submits nothing more, and the next one stops what it has left.
        metadata: deletedInBackground(identity, args.names.trainerJob, {
          annotations: awaitedByCheck.Job,
        }),
        spec: this.#jobSpec(identity, args, files),
      },
      // A Job cannot be changed.
      opts: { parent: this, deleteBeforeReplace: true, replaceOnChanges: ["spec.template"] },
    };
    const made = transformed<k8s.batch.v1.JobArgs>(transform.job, job);
    this.job = new k8s.batch.v1.Job(...made);
    this.workload = {
      kind: "Job",
      namespace,
      name: args.names.trainerJob,
      mark: markOf(made[1]),
    };
    this.registerOutputs({ job: this.job.metadata.name });
  }

  #specification(name: string, identity: Identity, args: TrainerJobArgs): k8s.core.v1.ConfigMap {
    return new k8s.core.v1.ConfigMap(
      `${name}-specification`,
      {
        metadata: deletedInBackground({ ...identity, app: "run-specification" }),
        immutable: true,
        data: { "run.json": runSpecification(args) },
      },
      { parent: this },
    );
  }

  #jobSpec(identity: Identity, args: TrainerJobArgs, files: pulumi.Output<string>) {
    return {
      backoffLimit: 6,
      podFailurePolicy: failurePolicy("submitter", finalFailures),
      template: {
        metadata: {
          labels: { ...labelsOf(identity), [roleLabel]: "trainer" },
          annotations: { "swe-rl.dev/run": args.trainer.fingerprint, ...attemptMark(args.attempt) },
        },
        spec: {
          restartPolicy: "Never",
          automountServiceAccountToken: false,
          ...podBasis(args.nodes, args.serviceAccount),
          securityContext: { seccompProfile: { type: "RuntimeDefault" } },
          containers: [submitter(args)],
          volumes: [
            { name: "specification", configMap: { name: this.specification.metadata.name } },
            programVolume(files),
          ],
        },
      },
    };
  }
}

function submitter(args: TrainerJobArgs): k8s.types.input.core.v1.Container {
  const { trainer } = args;
  return {
    name: "submitter",
    image: trainer.image,
    command: ["python3", "-u", `${programDirectory}/submit_run.py`],
    terminationMessagePolicy: "FallbackToLogsOnError",
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    env: [
      { name: "RAY_JOBS_URL", value: args.jobsUrl },
      fromSecret("RAY_AUTH_TOKEN", args.rayToken),
      { name: "RUN_SPEC", value: `${specDirectory}/run.json` },
      { name: "LAUNCH_PROGRAM", value: `${programDirectory}/launch_run.py` },
      {
        name: "RUN_OWNER",
        valueFrom: {
          fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']" },
        },
      },
      { name: "HEAD_TIMEOUT_SECONDS", value: String(args.headTimeoutSeconds) },
    ],
    resources: resourcesOf(trainer.submitterRequests),
    volumeMounts: [
      { name: "specification", mountPath: specDirectory, readOnly: true },
      programMount,
    ],
  };
}
