import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

/** The part of Karpenter's NodePool (karpenter.sh/v1) that we use. */
export interface NodePoolSpec {
  template: {
    metadata: { labels: Record<string, string> };
    spec: {
      nodeClassRef: { group: string; kind: string; name: string };
      requirements: { key: string; operator: string; values: string[] }[];
      taints: { key: string; value: string; effect: string }[];
      expireAfter: string;
    };
  };
  disruption: {
    consolidationPolicy: string;
    consolidateAfter: string;
    /** Without reasons, a budget is for all of them. */
    budgets: { nodes: string; reasons?: string[] }[];
  };
  limits: Record<string, string | number>;
}

export interface NodePoolArgs {
  metadata: k8s.types.input.meta.v1.ObjectMeta;
  spec: NodePoolSpec;
}

/** A NodePool object; nodes come and go by the work of Karpenter. */
export class NodePoolResource extends k8s.apiextensions.CustomResource {
  constructor(name: string, args: NodePoolArgs, opts?: pulumi.CustomResourceOptions) {
    super(name, { apiVersion: "karpenter.sh/v1", kind: "NodePool", ...args }, opts);
  }
}
