import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { type Role, roleLabel } from "../../plan/network/index.ts";
import type { Disruption } from "../../plan/nodes/index.ts";
import type { FrozenModel as Model } from "../../plan/serving/index.ts";
import type { WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import type { Nodes } from "../pod.ts";
import { ProgramDeployment, type ProgramTransforms } from "../program-deployment.ts";
import type { Mount } from "../ray/pod-template.ts";

export interface FrozenModelArgs {
  model: WithImage<Model>;
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
  /** @default no change */
  transform?: ProgramTransforms;
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
export class FrozenModel extends ProgramDeployment {
  constructor(name: string, args: FrozenModelArgs, opts?: pulumi.ComponentResourceOptions) {
    const { model, labels, namespace, disruption } = args;
    super(
      { type: "swe-rl:inference:FrozenModel", name, args },
      {
        identity: { labels, namespace, app: model.object, component: "frozen-model" },
        object: model.object,
        selector: { [modelLabel]: model.name },
        podLabels: { [roleLabel]: role },
        podAnnotations: disruption.podAnnotations,
        nodes: args.nodes,
        pullSecret: args.pullSecret,
        replicas: model.replicas,
        // GPUs are scarce: a new pod gets those of the one that it replaces.
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
        rolloutMinutes: model.rolloutMinutes,
        // All replicas start at once, but are replaced one after the other.
        updateMinutes: model.rolloutMinutes * model.replicas,
        deletion: "foreground",
        pod: () => podSpec(args),
        service: { ports: [{ name: "http", port: model.port, targetPort: "http" }] },
        budget: { maxUnavailable: disruption.frozenModelMaxUnavailable },
      },
      opts,
    );
    this.registerOutputs({ deployment: this.deployment.metadata.name });
  }
}

function podSpec(args: FrozenModelArgs): k8s.types.input.core.v1.PodSpec {
  const { model, models } = args;
  return {
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
