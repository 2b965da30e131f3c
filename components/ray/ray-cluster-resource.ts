import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

type PodTemplateSpec = k8s.types.input.core.v1.PodTemplateSpec;

export interface HeadGroupSpec {
  rayStartParams: Record<string, string>;
  serviceType?: string;
  template: PodTemplateSpec;
}

export interface WorkerGroupSpec {
  groupName: string;
  replicas: number;
  minReplicas: number;
  maxReplicas: number;
  rayStartParams: Record<string, string>;
  template: PodTemplateSpec;
}

/** The part of KubeRay's RayCluster (ray.io/v1) that we use. */
export interface RayClusterSpec {
  rayVersion: string;
  /** `secretName` holds the token under the key `auth_token`. KubeRay 1.6 and newer. */
  authOptions: { mode: "token"; secretName: pulumi.Input<string> };
  /** What a changed pod template does to running pods. */
  upgradeStrategy: { type: "Recreate" | "None" };
  enableInTreeAutoscaling: boolean;
  headGroupSpec: HeadGroupSpec;
  workerGroupSpecs: WorkerGroupSpec[];
}

export interface RayClusterArgs {
  metadata: k8s.types.input.meta.v1.ObjectMeta;
  spec: RayClusterSpec;
}

/** A RayCluster object; what it becomes is the work of the KubeRay operator. */
export class RayClusterResource extends k8s.apiextensions.CustomResource {
  constructor(name: string, args: RayClusterArgs, opts?: pulumi.CustomResourceOptions) {
    super(name, { apiVersion: "ray.io/v1", kind: "RayCluster", ...args }, opts);
  }
}
