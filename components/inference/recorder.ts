import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { roleLabel } from "../../plan/network/index.ts";
import type { Disruption } from "../../plan/nodes/index.ts";
import type { Recorder as RecorderPlan } from "../../plan/serving/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import type { Names } from "../../plan/names.ts";
import type { WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import {
  claimVolumes,
  ofGroup,
  type Nodes,
  programMount,
  programVolume,
  resourcesOf,
  unprivileged,
} from "../pod.ts";
import { ProgramDeployment, type ProgramTransforms } from "../program-deployment.ts";
import type { Mount } from "../ray/pod-template.ts";
import { programDirectory } from "../runtime-program.ts";
import type { SecretKey } from "../secrets/stack-secrets.ts";
import { discoveryEnvironment, serviceMinutes } from "./discovery.ts";

export interface RecorderArgs {
  names: Names;
  recorder: RecorderPlan;
  /** Rollout servers that must answer before it starts. */
  rolloutServers: number;
  trainer: WithImage<Pick<Trainer, "fingerprint" | "gpus" | "image" | "rayNamespace">>;
  disruption: Pick<Disruption, "recorderMaxUnavailable">;
  /** Directory of the trials; each has a file of its calls. */
  trials: string;
  /** The volume that holds it. */
  mounts: readonly Mount[];
  /** Owns what is in it. */
  group: number | undefined;
  /** Where the pod runs. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Address of Ray's job API, which discovery asks for the rollout servers. */
  jobsUrl: pulumi.Input<string>;
  rayToken: SecretKey;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** Minutes until every rollout server must answer. */
  rolloutMinutes: number;
  /** @default no change */
  transform?: ProgramTransforms;
}

type Container = k8s.types.input.core.v1.Container;

const tableDirectory = "/run/swe-rl";

/** Seconds from the signal to the end: the recorder lets calls end for 15 of them, and then writes. */
const graceSeconds = 45;

/** What LiteLLM sees of the rollout servers: one address that follows them, and records every call token by token. */
export class Recorder extends ProgramDeployment {
  constructor(name: string, args: RecorderArgs, opts?: pulumi.ComponentResourceOptions) {
    const { names, recorder, trainer, labels, namespace } = args;
    super(
      { type: "swe-rl:inference:Recorder", name, args },
      {
        identity: { labels, namespace, app: "recorder", component: "proxy" },
        object: names.recorder,
        selector: { [roleLabel]: "recorder" },
        // Another run has other rollout servers, in another namespace of Ray.
        podAnnotations: { "swe-rl.dev/run": trainer.fingerprint },
        nodes: args.nodes,
        pullSecret: args.pullSecret,
        program: { folder: "recorder", app: "recorder-programs" },
        // One process writes each file, so there is one pod. LiteLLM and the agents repeat calls that a restart breaks.
        replicas: 1,
        strategy: { type: "Recreate" },
        // The rollout servers are there already, so that a failure is one of its pod's.
        rolloutMinutes: serviceMinutes,
        deletion: "foreground",
        pod: (files) => ({
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: graceSeconds,
          securityContext: { seccompProfile: { type: "RuntimeDefault" }, ...ofGroup(args.group) },
          initContainers: [discovery(args)],
          containers: [server(args)],
          volumes: [
            { name: "table", emptyDir: {} },
            programVolume(files),
            ...claimVolumes(args.mounts),
          ],
        }),
        service: { ports: [{ name: "http", port: recorder.port, targetPort: recorder.port }] },
        // There is no second pod: an eviction would break every running call.
        budget: {
          maxUnavailable: args.disruption.recorderMaxUnavailable,
          app: "recorder-disruption",
        },
      },
      opts,
    );
    this.registerOutputs({ deployment: this.deployment.metadata.name });
  }
}

const programMounts = [{ name: "table", mountPath: tableDirectory }, programMount];

/** Variables that discovery and the recorder, which goes on with it, have in common. */
function environment({ trainer, ...args }: RecorderArgs): k8s.types.input.core.v1.EnvVar[] {
  const { gpus, rayNamespace } = trainer;
  return discoveryEnvironment({
    ...args,
    gpus,
    rayNamespace,
    table: `${tableDirectory}/rollouts.json`,
  });
}

function discovery(args: RecorderArgs): Container {
  return {
    name: "discover-rollouts",
    image: args.trainer.image,
    command: ["python3", "-u", `${programDirectory}/discover_rollouts.py`],
    terminationMessagePolicy: "FallbackToLogsOnError",
    securityContext: unprivileged,
    env: environment(args),
    resources: resourcesOf(args.recorder.discoveryRequests),
    volumeMounts: programMounts,
  };
}

function server(args: RecorderArgs): Container {
  const { recorder } = args;
  const probe = (path: string, failureThreshold: number) => ({
    httpGet: { path, port: "http" },
    periodSeconds: 5,
    timeoutSeconds: 5,
    failureThreshold,
  });
  return {
    name: "recorder",
    image: args.trainer.image,
    command: ["python3", "-u", `${programDirectory}/recorder.py`],
    securityContext: {
      ...unprivileged,
      // Directories of trials may belong to another user of the volume; Ray's pods write there with this capability as well.
      capabilities: { drop: ["ALL"], add: ["DAC_OVERRIDE"] },
    },
    env: [
      ...environment(args),
      { name: "RECORDER_PORT", value: String(recorder.port) },
      { name: "TRAJECTORIES_DIRECTORY", value: args.trials },
      { name: "MOST_CALL_TOKENS", value: String(recorder.callTokens) },
    ],
    ports: [{ name: "http", containerPort: recorder.port }],
    startupProbe: probe("/healthz", 24),
    readinessProbe: probe("/ready", 2),
    livenessProbe: probe("/healthz", 24),
    resources: {
      requests: { cpu: String(recorder.cpus), memory: String(recorder.memoryBytes) },
      limits: { memory: String(recorder.memoryBytes) },
    },
    volumeMounts: [
      ...programMounts,
      ...args.mounts.map(({ name, mountPath }) => ({ name, mountPath })),
    ],
  };
}
