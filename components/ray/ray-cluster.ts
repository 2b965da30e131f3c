import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Disruption } from "../../plan/nodes/index.ts";
import type { Ray, RayPod } from "../../plan/ray/index.ts";
import type { Names } from "../../plan/names.ts";
import type { WithImage } from "../images/reference.ts";
import {
  type Identity,
  type Labels,
  deletedInBackground,
  deletedInForeground,
} from "../metadata.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { awaitedByCheck, markOf, type Workload } from "../workload.ts";
import { type Transform, transformed } from "../transform.ts";
import { type Mount, type RayPodBase, rayPodTemplate } from "./pod-template.ts";
import {
  type RayClusterArgs,
  RayClusterResource,
  type RayClusterSpec,
} from "./ray-cluster-resource.ts";

export interface RayClusterComponentArgs {
  names: Names;
  ray: WithImage<Ray>;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Account under which the agent loops start sandboxes. */
  serviceAccount: pulumi.Input<string>;
  /** Variables of every pod: Ray's workers inherit them from their pod, not from the driver's shell. */
  environment: k8s.types.input.core.v1.EnvVar[];
  mounts: Mount[];
  /** Owns what is in the volumes. */
  group: number | undefined;
  /** Secret with Ray's token under `auth_token`. */
  authenticationSecret: pulumi.Input<string>;
  disruption: Pick<Disruption, "holdsRay" | "podAnnotations">;
  /** @default no change */
  transform?: {
    /** @default no change */
    cluster?: Transform<RayClusterArgs>;
  };
}

/** The Ray cluster of a run: a head without GPUs and one group of workers per role, a worker per node. */
export class RayCluster extends pulumi.ComponentResource {
  public readonly cluster: RayClusterResource;
  /** For the check of its start. */
  public readonly workload: Workload;
  /** undefined: the pods may be evicted at will. */
  public readonly budget: k8s.policy.v1.PodDisruptionBudget | undefined;
  /** Address of the job API inside the cluster. */
  public readonly jobsUrl: pulumi.Output<string>;

  constructor(name: string, args: RayClusterComponentArgs, opts?: pulumi.ComponentResourceOptions) {
    const { transform = {}, ...inputs } = args;
    super("swe-rl:ray:RayCluster", name, inputs, opts);
    const { names, ray, labels, namespace } = args;
    const identity = { labels, namespace, app: "ray", component: "training" };
    const files = programs(
      `${name}-programs`,
      { identity: { ...identity, app: "ray-programs" }, program: "ray_head" },
      { parent: this },
    );
    const cluster = {
      name,
      args: {
        metadata: deletedInForeground(identity, names.rayCluster, {
          annotations: awaitedByCheck.RayCluster,
        }),
        spec: clusterSpec(args, files),
      },
      opts: { parent: this },
    };
    const made = transformed<RayClusterArgs>(transform.cluster, cluster);
    this.cluster = new RayClusterResource(...made);
    this.workload = {
      kind: "RayCluster",
      namespace,
      name: names.rayCluster,
      mark: markOf(made[1]),
    };
    this.budget = this.#budget(name, identity, args);
    this.jobsUrl = pulumi.interpolate`http://${names.rayHeadService}.${namespace}:${ray.ports.dashboard}`;
    this.registerOutputs({ jobsUrl: this.jobsUrl });
  }

  #budget(
    name: string,
    identity: Identity,
    { names, ray, disruption }: RayClusterComponentArgs,
  ): k8s.policy.v1.PodDisruptionBudget | undefined {
    if (!disruption.holdsRay) return undefined;
    const workers = ray.groups.reduce((sum, { replicas }) => sum + replicas, 0);
    return new k8s.policy.v1.PodDisruptionBudget(
      `${name}-disruption`,
      {
        metadata: deletedInBackground({ ...identity, app: "ray-disruption" }, names.rayCluster),
        spec: {
          // The head and the workers. Of a RayCluster, which has no scale, Kubernetes can compute no other form
          // (pkg/controller/disruption/disruption.go, 1.34).
          minAvailable: 1 + workers,
          selector: { matchLabels: { "ray.io/cluster": names.rayCluster } },
        },
      },
      { parent: this },
    );
  }
}

function clusterSpec(args: RayClusterComponentArgs, files: pulumi.Output<string>): RayClusterSpec {
  const { ray } = args;
  const base: RayPodBase = {
    ...args,
    annotations: args.disruption.podAnnotations,
    image: ray.image,
    ports: ray.ports,
  };
  return {
    rayVersion: ray.version,
    authOptions: { mode: "token", secretName: args.authenticationSecret },
    // A changed environment or image must reach the pods; the run is restarted with it anyway.
    upgradeStrategy: { type: "Recreate" },
    enableInTreeAutoscaling: false,
    headGroupSpec: headGroup(base, ray, files),
    workerGroupSpecs: ray.groups.map((group) => workerGroup(base, group)),
  };
}

function headGroup(
  base: RayPodBase,
  { head, ports }: WithImage<Ray>,
  files: pulumi.Output<string>,
): RayClusterSpec["headGroupSpec"] {
  return {
    rayStartParams: {
      ...startParameters(head),
      "dashboard-host": "0.0.0.0",
      "dashboard-port": String(ports.dashboard),
      port: String(ports.gcs),
    },
    template: rayPodTemplate(base, head, {
      role: "ray-head",
      containerPorts: [
        { name: "gcs-server", containerPort: ports.gcs },
        { name: "dashboard", containerPort: ports.dashboard },
        { name: "client", containerPort: ports.client },
        { name: "metrics", containerPort: ports.metrics },
      ],
      environment: [],
      programs: { configMap: files, mountPath: programDirectory },
    }),
  };
}

function workerGroup(
  base: RayPodBase,
  group: Ray["groups"][number],
): RayClusterSpec["workerGroupSpecs"][number] {
  return {
    groupName: group.name,
    replicas: group.replicas,
    minReplicas: group.replicas,
    maxReplicas: group.replicas,
    rayStartParams: startParameters(group),
    template: rayPodTemplate(base, group, {
      role: "ray-worker",
      containerPorts: [{ name: "metrics", containerPort: base.ports.metrics }],
      // The memory monitor kills workers for memory that is only page cache or shared memory (skypilot#8231).
      environment: [{ name: "RAY_memory_monitor_refresh_ms", value: "0" }],
    }),
  };
}

function startParameters(pod: RayPod): Record<string, string> {
  return {
    "num-cpus": String(pod.schedulableCpus),
    "num-gpus": String(pod.gpus),
    "object-store-memory": String(pod.objectStoreBytes),
  };
}
