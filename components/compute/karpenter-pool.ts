import * as pulumi from "@pulumi/pulumi";
import type { NodePool } from "../../plan/nodes/index.ts";
import { NodePoolResource } from "./node-pool-resource.ts";
import { type Labels, deletedInForeground } from "../metadata.ts";

export interface KarpenterPoolArgs {
  pool: NodePool;
  labels: Labels;
}

/** Minutes that destroy waits for the nodes to be drained and given back. */
const drainMinutes = 30;

/**
 * Nodes that Karpenter makes for this stack alone, when its pods need them. No `terminationGracePeriod`: with it a
 * drain passes over PodDisruptionBudgets and do-not-disrupt annotations.
 */
export class KarpenterPool extends pulumi.ComponentResource {
  public readonly pool: NodePoolResource;

  constructor(name: string, args: KarpenterPoolArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:compute:KarpenterPool", name, args, opts);
    const { pool, labels } = args;
    const { expireAfter, budgets, ...consolidation } = pool.disruption;
    this.pool = new NodePoolResource(
      name,
      {
        // Its nodes must be gone before destroy reports that all is.
        metadata: deletedInForeground(
          { labels, app: "node-pool", component: pool.purpose },
          pool.name,
        ),
        spec: {
          template: {
            // No others: Karpenter refuses labels of the domain kubernetes.io on nodes.
            metadata: { labels: { ...pool.label } },
            spec: {
              nodeClassRef: { ...pool.nodeClass },
              requirements: pool.requirements.map(({ key, operator, values }) => ({
                key,
                operator,
                values: [...values],
              })),
              taints: [{ ...pool.taint }],
              expireAfter,
            },
          },
          disruption: {
            ...consolidation,
            budgets: budgets.map(({ nodes, reasons }) => ({
              nodes,
              ...(reasons ? { reasons: [...reasons] } : {}),
            })),
          },
          limits: { ...pool.limits },
        },
      },
      { parent: this, customTimeouts: { delete: `${drainMinutes}m` } },
    );
    this.registerOutputs({ pool: this.pool.metadata.name });
  }
}
