import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { roleLabel } from "../../plan/network/index.ts";
import type { Disruption } from "../../plan/nodes/index.ts";
import type { Recorder as RecorderPlan } from "../../plan/serving/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import type { Names } from "../../plan/names.ts";
import { type Labels, labelsOf, leaf, owner } from "../metadata.ts";
import { type Nodes, podBasis, pullSecrets, resourcesOf } from "../pod.ts";
import type { Mount } from "../ray/pod-template.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";

export interface RecorderArgs {
  names: Names;
  recorder: RecorderPlan;
  /** Rollout servers that must answer before it starts. */
  rolloutServers: number;
  trainer: Pick<Trainer, "fingerprint" | "image" | "rayNamespace">;
  disruption: Pick<Disruption, "recorderMaxUnavailable">;
  /** Directory of the trials; each has a file of its calls. */
  trials: string;
  /** The volume that holds it. */
  mounts: readonly Mount[];
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
}

type Container = k8s.types.input.core.v1.Container;

const tableDirectory = "/run/swe-rl";

/** Seconds from the signal to the end: the recorder lets calls end for 15 of them, and then writes. */
const graceSeconds = 45;

/** What LiteLLM sees of the rollout servers: one address that follows them, and records every call token by token. */
export class Recorder extends pulumi.ComponentResource {
  constructor(name: string, args: RecorderArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:inference:Recorder", name, args, opts);
    const { names, recorder, trainer } = args;
    const { labels, namespace } = args;
    const identity = { labels, namespace, app: "recorder", component: "proxy" };
    const files = programs(
      `${name}-programs`,
      {
        identity: { ...identity, app: "recorder-programs" },
        program: "recorder",
      },
      { parent: this },
    );
    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: leaf(identity, names.recorder),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      { parent: this },
    );
    const selector = { [roleLabel]: "recorder" };
    new k8s.core.v1.Service(
      `${name}-service`,
      {
        // The pod's own readiness is awaited; its rollout servers may take longer than Pulumi waits for a Service.
        metadata: leaf(identity, names.recorder, {
          annotations: { "pulumi.com/skipAwait": "true" },
        }),
        spec: {
          type: "ClusterIP",
          selector,
          ports: [{ name: "http", port: recorder.port, targetPort: recorder.port }],
        },
      },
      { parent: this },
    );
    new k8s.apps.v1.Deployment(
      name,
      {
        metadata: owner(identity, names.recorder),
        spec: {
          // One process writes each file. LiteLLM and the agents repeat what a restart breaks.
          replicas: 1,
          strategy: { type: "Recreate" },
          selector: { matchLabels: selector },
          progressDeadlineSeconds: args.rolloutMinutes * 60,
          template: {
            metadata: {
              labels: { ...labelsOf(identity), ...selector },
              // Another run has other rollout servers, in another namespace of Ray.
              annotations: { "swe-rl.dev/run": trainer.fingerprint },
            },
            spec: {
              ...podBasis(args.nodes, account.metadata.name),
              automountServiceAccountToken: false,
              terminationGracePeriodSeconds: graceSeconds,
              securityContext: { seccompProfile: { type: "RuntimeDefault" } },
              initContainers: [discovery(args)],
              containers: [server(args)],
              volumes: [
                { name: "table", emptyDir: {} },
                { name: "programs", configMap: { name: files } },
                ...args.mounts.map(({ name: volume, claimName }) => ({
                  name: volume,
                  persistentVolumeClaim: { claimName },
                })),
              ],
            },
          },
        },
      },
      {
        parent: this,
        customTimeouts: {
          create: `${args.rolloutMinutes}m`,
          update: `${args.rolloutMinutes}m`,
        },
      },
    );
    new k8s.policy.v1.PodDisruptionBudget(
      `${name}-disruption`,
      {
        metadata: leaf({ ...identity, app: "recorder-disruption" }, names.recorder),
        // There is no second one: an eviction would break every running call.
        spec: {
          maxUnavailable: args.disruption.recorderMaxUnavailable,
          selector: { matchLabels: selector },
        },
      },
      { parent: this },
    );
    this.registerOutputs();
  }
}

const hardened = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

const programMounts = [
  { name: "table", mountPath: tableDirectory },
  { name: "programs", mountPath: programDirectory, readOnly: true },
];

/** Variables that discovery and the recorder, which goes on with it, have in common. */
function environment(args: RecorderArgs): k8s.types.input.core.v1.EnvVar[] {
  return [
    { name: "RAY_JOBS_URL", value: args.jobsUrl },
    fromSecret("RAY_AUTH_TOKEN", args.rayToken),
    { name: "RAY_NAMESPACE", value: args.trainer.rayNamespace },
    { name: "ROLLOUT_SERVERS", value: String(args.rolloutServers) },
    { name: "LIST_PROGRAM", value: `${programDirectory}/list_rollouts.py` },
    { name: "ROLLOUT_TABLE", value: `${tableDirectory}/rollouts.json` },
    { name: "DISCOVERY_TIMEOUT_SECONDS", value: String(args.rolloutMinutes * 60) },
  ];
}

function discovery(args: RecorderArgs): Container {
  return {
    name: "discover-rollouts",
    image: args.trainer.image,
    command: ["python3", "-u", `${programDirectory}/discover_rollouts.py`],
    securityContext: hardened,
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
      ...hardened,
      // Directories of trials may belong to another user of the volume; Ray's pods write there with this capability as well.
      capabilities: { drop: ["ALL"], add: ["DAC_OVERRIDE"] },
    },
    env: [
      ...environment(args),
      { name: "RECORDER_PORT", value: String(recorder.port) },
      { name: "TRAJECTORIES_DIRECTORY", value: args.trials },
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
