import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Disruption } from "../../plan/nodes/index.ts";
import type { Ray, RayPod } from "../../plan/ray/index.ts";
import type { Names } from "../../plan/names.ts";
import { RayClusterResource } from "../crds/ray-cluster.ts";
import { type Labels, leaf, owner } from "../metadata.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { type Mount, type RayPodBase, rayPodTemplate } from "./pod-template.ts";

export interface RayClusterComponentArgs {
  names: Names;
  ray: Ray;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Account under which the agent loops start sandboxes. */
  serviceAccount: pulumi.Input<string>;
  /** Variables of every pod: Ray's workers inherit them from their pod, not from the driver's shell. */
  environment: k8s.types.input.core.v1.EnvVar[];
  mounts: Mount[];
  /** Secret with Ray's token under `auth_token`. */
  authenticationSecret: pulumi.Input<string>;
  /** Minutes that the pods may take to be provisioned: images of many gigabytes. */
  startupMinutes: number;
  disruption: Pick<Disruption, "rayMaxUnavailable" | "podAnnotations">;
}

/** The Ray cluster of a run: a head without GPUs and one group of workers per role, a worker per node. */
export class RayCluster extends pulumi.ComponentResource {
  /** Address of the job API inside the cluster. */
  public readonly jobsUrl: pulumi.Output<string>;

  constructor(name: string, args: RayClusterComponentArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:ray:RayCluster", name, args, opts);
    const { names, ray } = args;
    const identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: "ray",
      component: "training",
    };
    const { podAnnotations, rayMaxUnavailable } = args.disruption;
    const base: RayPodBase = {
      ...args,
      annotations: podAnnotations,
      image: ray.image,
      ports: ray.ports,
    };
    const headPrograms = programs(
      `${name}-programs`,
      {
        identity: { ...identity, app: "ray-programs" },
        program: "ray_head",
      },
      { parent: this },
    );
    new RayClusterResource(
      name,
      {
        metadata: owner(identity, names.rayCluster, {
          annotations: { "pulumi.com/waitFor": "condition=RayClusterProvisioned" },
        }),
        spec: {
          rayVersion: ray.version,
          authOptions: { mode: "token", secretName: args.authenticationSecret },
          // A changed environment or image must reach the pods; the run is restarted with it anyway.
          upgradeStrategy: { type: "Recreate" },
          enableInTreeAutoscaling: false,
          headGroupSpec: {
            rayStartParams: {
              ...startParameters(ray.head),
              "dashboard-host": "0.0.0.0",
              "dashboard-port": String(ray.ports.dashboard),
              port: String(ray.ports.gcs),
            },
            template: rayPodTemplate(base, ray.head, {
              role: "ray-head",
              containerPorts: [
                { name: "gcs-server", containerPort: ray.ports.gcs },
                { name: "dashboard", containerPort: ray.ports.dashboard },
                { name: "client", containerPort: ray.ports.client },
                { name: "metrics", containerPort: ray.ports.metrics },
              ],
              environment: [],
              programs: { configMap: headPrograms, mountPath: programDirectory },
            }),
          },
          workerGroupSpecs: ray.groups.map((group) => ({
            groupName: group.name,
            replicas: group.replicas,
            minReplicas: group.replicas,
            maxReplicas: group.replicas,
            rayStartParams: startParameters(group),
            template: rayPodTemplate(base, group, {
              role: "ray-worker",
              containerPorts: [{ name: "metrics", containerPort: ray.ports.metrics }],
              // The memory monitor kills workers for memory that is only page cache or shared memory (skypilot#8231).
              environment: [{ name: "RAY_memory_monitor_refresh_ms", value: "0" }],
            }),
          })),
        },
      },
      {
        parent: this,
        customTimeouts: timeouts(args.startupMinutes),
      },
    );
    if (rayMaxUnavailable !== undefined) {
      new k8s.policy.v1.PodDisruptionBudget(
        `${name}-disruption`,
        {
          metadata: leaf({ ...identity, app: "ray-disruption" }, names.rayCluster),
          spec: {
            maxUnavailable: rayMaxUnavailable,
            selector: { matchLabels: { "ray.io/cluster": names.rayCluster } },
          },
        },
        { parent: this },
      );
    }
    this.jobsUrl = pulumi.interpolate`http://${names.rayHeadService}.${args.namespace}:${ray.ports.dashboard}`;
    this.registerOutputs({ jobsUrl: this.jobsUrl });
  }
}

function startParameters(pod: RayPod): Record<string, string> {
  return {
    "num-cpus": String(pod.schedulableCpus),
    "num-gpus": String(pod.gpus),
    "object-store-memory": String(pod.objectStoreBytes),
  };
}

function timeouts(minutes: number): pulumi.CustomTimeouts {
  return { create: `${minutes}m`, update: `${minutes}m` };
}
