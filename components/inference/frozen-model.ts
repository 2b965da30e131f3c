import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type Role, roleLabel } from "../../plan/network/index.ts";
import type { Disruption } from "../../plan/nodes/index.ts";
import type { FrozenModel as Model } from "../../plan/serving/index.ts";
import { type Labels, labelsOf, leaf, owner } from "../metadata.ts";
import { type Nodes, podBasis, pullSecrets } from "../pod.ts";
import type { Mount } from "../ray/pod-template.ts";

export interface FrozenModelArgs {
  model: Model;
  /** Extended resource of one GPU. */
  gpuResource: string;
  /** Where the pods run. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  /** The volume with the checkpoint. */
  models: Mount;
  disruption: Pick<Disruption, "frozenModelMaxUnavailable" | "podAnnotations">;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  labels: Labels;
}

/** Label of one model's pods, by which its Service and its replicas know each other. */
const modelLabel = "swe-rl.dev/frozen-model";
const role: Role = "frozen-model";

/** Seconds for which a pod that ends still answers, until no Service sends it requests any more. */
const drainSeconds = 15;

/** Seconds until a pod that does not end is killed: its last answers may be long. */
const graceSeconds = 120;

/**
 * A model that plain vLLM serves for evaluation or judging. Never in the weight-sync path: verl owns its rollout
 * servers as Ray actors and updates only those; the weights here are those of the checkpoint.
 */
export class FrozenModel extends pulumi.ComponentResource {
  constructor(name: string, args: FrozenModelArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:inference:FrozenModel", name, args, opts);
    const { model } = args;
    const identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: model.object,
      component: "frozen-model",
    };
    const selector = { [modelLabel]: model.name };
    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: leaf(identity, model.object),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      { parent: this },
    );
    new k8s.core.v1.Service(
      `${name}-service`,
      {
        metadata: leaf(identity, model.object, {
          // The Deployment is awaited, and it takes longer than the patience for a Service.
          annotations: { "pulumi.com/skipAwait": "true" },
        }),
        spec: {
          type: "ClusterIP",
          selector,
          ports: [{ name: "http", port: model.port, targetPort: "http" }],
        },
      },
      { parent: this },
    );
    new k8s.policy.v1.PodDisruptionBudget(
      `${name}-disruption`,
      {
        metadata: leaf(identity, model.object),
        spec: {
          maxUnavailable: args.disruption.frozenModelMaxUnavailable,
          selector: { matchLabels: selector },
        },
      },
      { parent: this },
    );
    const minutes = model.rolloutMinutes;
    new k8s.apps.v1.Deployment(
      name,
      {
        metadata: owner(identity, model.object),
        spec: {
          replicas: model.replicas,
          selector: { matchLabels: selector },
          // GPUs are scarce: a new pod gets those of the one that it replaces.
          strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
          progressDeadlineSeconds: minutes * 60,
          template: {
            metadata: {
              labels: { ...labelsOf(identity), ...selector, [roleLabel]: role },
              annotations: { ...args.disruption.podAnnotations },
            },
            spec: podSpec(args, account.metadata.name),
          },
        },
      },
      {
        parent: this,
        // All replicas start at once, but are replaced one after the other.
        customTimeouts: { create: `${minutes}m`, update: `${minutes * model.replicas}m` },
      },
    );
    this.registerOutputs();
  }
}

function podSpec(
  args: FrozenModelArgs,
  account: pulumi.Input<string>,
): k8s.types.input.core.v1.PodSpec {
  const { model, models } = args;
  return {
    ...podBasis(args.nodes, account),
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: graceSeconds,
    // Beside other frozen models, of whichever stack: spread out, they would leave no node whole for Ray's workers.
    affinity: {
      podAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 100,
            podAffinityTerm: {
              topologyKey: "kubernetes.io/hostname",
              namespaceSelector: {},
              labelSelector: { matchLabels: { [roleLabel]: role } },
            },
          },
        ],
      },
    },
    securityContext: { seccompProfile: { type: "RuntimeDefault" } },
    containers: [server(args)],
    volumes: [
      {
        name: "shm",
        emptyDir: { medium: "Memory", sizeLimit: String(model.sharedMemoryBytes) },
      },
      {
        name: models.name,
        persistentVolumeClaim: { claimName: models.claimName, readOnly: true },
      },
    ],
  };
}

function server({
  model,
  models,
  gpuResource,
}: FrozenModelArgs): k8s.types.input.core.v1.Container {
  const gpus = { [gpuResource]: String(model.gpus) };
  const memory = String(model.memoryBytes);
  const probe = (failureThreshold: number) => ({
    httpGet: { path: "/health", port: "http" },
    periodSeconds: 10,
    timeoutSeconds: 5,
    failureThreshold,
  });
  return {
    name: "vllm",
    image: model.image,
    command: [...model.argv],
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    env: Object.entries(model.environment).map(([name, value]) => ({ name, value })),
    ports: [{ name: "http", containerPort: model.port }],
    startupProbe: probe(model.startupMinutes * 6),
    readinessProbe: probe(3),
    // Minutes of tolerance: a probe of seconds has killed servers that only compiled (dynamo#14735).
    livenessProbe: probe(18),
    lifecycle: { preStop: { sleep: { seconds: drainSeconds } } },
    resources: {
      requests: { cpu: String(model.cpus), memory, ...gpus },
      limits: { memory, ...gpus },
    },
    volumeMounts: [
      { name: "shm", mountPath: "/dev/shm" },
      { name: models.name, mountPath: models.mountPath, readOnly: true },
    ],
  };
}
