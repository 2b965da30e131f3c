import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { attemptMark } from "../../plan/attempts.ts";
import type { PolicyCheck as PolicyCheckPlan } from "../../plan/serving/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import { makeCheck } from "../check-job.ts";
import type { WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import {
  claimVolumes,
  type Nodes,
  programMount,
  programVolume,
  resourcesOf,
  unprivileged,
} from "../pod.ts";
import type { Mount } from "../ray/pod-template.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";
import type { Transform } from "../transform.ts";
import { discoveryEnvironment } from "./discovery.ts";

/** The agents' way through LiteLLM, whose calls the recorder writes to the trials' volume. */
export interface LiteLlmWay {
  url: pulumi.Input<string>;
  sandboxKey: SecretKey;
  /** Directory of the trials. */
  trials: string;
  /** The volume that holds it. */
  mounts: readonly Mount[];
  /** Owns what is in it. */
  group: number | undefined;
}

export interface PolicyCheckArgs {
  /** Name of the Job. */
  object: string;
  check: PolicyCheckPlan;
  trainer: WithImage<Pick<Trainer, "fingerprint" | "gpus" | "image" | "rayNamespace">>;
  /** Where the pod runs: on the nodes of the head, which have the image. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Address of Ray's job API, which discovery asks for the rollout servers. */
  jobsUrl: pulumi.Input<string>;
  rayToken: SecretKey;
  /** Agents go through LiteLLM. @default they do not */
  litellm?: LiteLlmWay | undefined;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** Tells it from one that has failed; empty: none has. */
  attempt: string;
  /** Minutes until every rollout server must answer. */
  rolloutMinutes: number;
  /** @default no change */
  transform?: {
    /** @default no change */
    job?: Transform<k8s.batch.v1.JobArgs>;
  };
}

/** Minutes beside the wait for the servers: image, one completion of each. */
const completionMinutes = 10;

/**
 * Waits until every rollout server has given a completion with token ids and log-probabilities, and then, where agents
 * go through LiteLLM, until one of each of its surfaces is recorded with them. Awaited: an update ends when the policy
 * is served. It names the servers that are missing.
 */
export class PolicyCheck extends pulumi.ComponentResource {
  public readonly account: k8s.core.v1.ServiceAccount;
  public readonly job: k8s.batch.v1.Job;

  constructor(name: string, args: PolicyCheckArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform = {}, ...inputs } = args;
    super("swe-rl:inference:PolicyCheck", name, inputs, opts);
    const { labels, namespace } = args;
    const identity = { labels, namespace, app: args.object, component: "inference" };
    const files = programs(
      `${name}-programs`,
      { identity: { ...identity, app: `${args.object}-programs` }, program: "recorder" },
      { parent: this },
    );
    const { account, job } = makeCheck(this, name, {
      identity,
      object: args.object,
      nodes: args.nodes,
      pullSecret: args.pullSecret,
      container: checker(args),
      volumes: [programVolume(files), ...claimVolumes(args.litellm?.mounts ?? [])],
      group: args.litellm?.group,
      // Another run has other rollout servers, in another namespace of Ray.
      annotations: {
        "swe-rl.dev/run": args.trainer.fingerprint,
        "swe-rl.dev/proxy": args.check.fingerprint,
        ...attemptMark(args.attempt),
      },
      minutes: minutesOf(args),
      transform: transform.job,
    });
    this.account = account;
    this.job = job;
    this.registerOutputs({ job: this.job.metadata.name });
  }
}

/** Minutes that all of it may take. */
function minutesOf({ rolloutMinutes }: PolicyCheckArgs): number {
  return rolloutMinutes + completionMinutes;
}

function checker(args: PolicyCheckArgs): k8s.types.input.core.v1.Container {
  const { check, litellm, trainer } = args;
  return {
    name: "check",
    image: trainer.image,
    command: ["python3", "-u", `${programDirectory}/check_policy.py`],
    // The provider shows the last lines where the Job fails: which servers are missing, and why.
    terminationMessagePolicy: "FallbackToLogsOnError",
    securityContext: unprivileged,
    env: [
      ...discoveryEnvironment({
        ...args,
        rayNamespace: trainer.rayNamespace,
        gpus: trainer.gpus,
        rolloutServers: check.rolloutServers,
      }),
      { name: "MODEL", value: check.model },
      ...(litellm
        ? [
            { name: "PROXY_URL", value: litellm.url },
            fromSecret("SANDBOX_API_KEY", litellm.sandboxKey),
            { name: "TRAJECTORIES_DIRECTORY", value: litellm.trials },
          ]
        : []),
    ],
    resources: resourcesOf(check.requests),
    volumeMounts: [
      programMount,
      ...(litellm?.mounts ?? []).map(({ name, mountPath }) => ({
        name,
        mountPath,
        readOnly: true,
      })),
    ],
  };
}
