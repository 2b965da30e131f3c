import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { attemptMark } from "../../plan/attempts.ts";
import type { Names } from "../../plan/names.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import { makeCheck } from "../check-job.ts";
import type { WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import { claimVolumes, type Nodes, resourcesOf } from "../pod.ts";
import type { Mount } from "../ray/pod-template.ts";
import type { Workload } from "../workload.ts";
import type { Transform } from "../transform.ts";

export interface InputsCheckArgs {
  names: Names;
  check: NonNullable<Trainer["check"]>;
  trainer: WithImage<Pick<Trainer, "fingerprint" | "image">>;
  /** Where the pod runs: on the nodes of the head, which have the image. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** That of the run, which the check reads. */
  environment: k8s.types.input.core.v1.EnvVar[];
  /** Volumes of the run: model and data to be read, the others to be written. */
  mounts: readonly Mount[];
  /** Owns what is in the volumes. */
  group: number | undefined;
  /** Tells it from one that has failed; empty: none has. */
  attempt: string;
  /** Secret with registry credentials, by which the tasks' images are looked up, too. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** @default no change */
  transform?: {
    /** @default no change */
    job?: Transform<k8s.batch.v1.JobArgs>;
  };
}

/** The training image is pulled in it, and up to a thousand images are looked up. */
export const inputsMinutes = 30;

/** Where `docker login` would have left its file. */
const dockerDirectory = "/run/swe-rl-registries";

/** Checks image, model and task indexes in the very image and on the very volumes, before a GPU is held. */
export class InputsCheck extends pulumi.ComponentResource {
  public readonly account: k8s.core.v1.ServiceAccount;
  public readonly job: k8s.batch.v1.Job;
  /** Awaited until it is complete. */
  public readonly workload: Workload;

  constructor(name: string, args: InputsCheckArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform = {}, ...inputs } = args;
    super("swe-rl:training:InputsCheck", name, inputs, opts);
    const { labels, namespace, names } = args;
    const { account, job, workload } = makeCheck(this, name, {
      identity: { labels, namespace, app: "inputs-check", component: "training" },
      object: names.inputsCheck,
      nodes: args.nodes,
      pullSecret: args.pullSecret,
      container: checker(args),
      volumes: [...claimVolumes(args.mounts), ...registryVolumes(args.pullSecret)],
      group: args.group,
      annotations: { "swe-rl.dev/run": args.trainer.fingerprint, ...attemptMark(args.attempt) },
      minutes: inputsMinutes,
      isAwaitedByCheck: true,
      transform: transform.job,
    });
    this.account = account;
    this.job = job;
    this.workload = { ...workload, ends: true };
    this.registerOutputs({ job: this.job.metadata.name });
  }
}

function checker({
  check,
  trainer,
  environment,
  mounts,
  pullSecret,
}: InputsCheckArgs): k8s.types.input.core.v1.Container {
  return {
    name: "check",
    image: trainer.image,
    command: [...check.argv],
    // The provider shows the last lines where the Job fails: what is wrong, a line each.
    terminationMessagePolicy: "FallbackToLogsOnError",
    // As Ray's pods: what is checked is also what they may do on the volumes.
    securityContext: { allowPrivilegeEscalation: false },
    env: [
      ...environment,
      ...(pullSecret === undefined ? [] : [{ name: "DOCKER_CONFIG", value: dockerDirectory }]),
    ],
    resources: resourcesOf(check.requests),
    volumeMounts: [
      ...mounts.map(({ name, mountPath, readOnly }) => ({
        name,
        mountPath,
        readOnly,
      })),
      ...(pullSecret === undefined
        ? []
        : [{ name: "registries", mountPath: dockerDirectory, readOnly: true }]),
    ],
  };
}

function registryVolumes(
  pullSecret: pulumi.Input<string> | undefined,
): k8s.types.input.core.v1.Volume[] {
  if (pullSecret === undefined) return [];
  const items = [{ key: ".dockerconfigjson", path: "config.json" }];
  return [{ name: "registries", secret: { secretName: pullSecret, items } }];
}
