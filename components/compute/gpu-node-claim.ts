import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { NodeClaim } from "../../plan/nodes/index.ts";

export interface GpuNodeClaimArgs {
  claim: NodeClaim;
}

/**
 * Reserves named GPU nodes for one stack by a label and a taint. Both are the stack's own fields, so destroy takes
 * exactly them away again. The API server refuses a node with a taint of another owner: a node's
 * taints have one owner.
 */
export class GpuNodeClaim extends pulumi.ComponentResource {
  /** One for each node. */
  public readonly patches: readonly k8s.core.v1.NodePatch[];

  constructor(name: string, args: GpuNodeClaimArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:compute:GpuNodeClaim", name, args, opts);
    const { label, taint } = args.claim;
    this.patches = args.claim.nodes.map(
      (node) =>
        new k8s.core.v1.NodePatch(
          `${name}-${node}`,
          { metadata: { name: node, labels: { ...label } }, spec: { taints: [{ ...taint }] } },
          { parent: this },
        ),
    );
    this.registerOutputs({ nodes: args.claim.nodes });
  }
}
