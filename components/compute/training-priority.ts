import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type Labels, deletedInBackground } from "../metadata.ts";

export interface TrainingPriorityArgs {
  /** Name of the PriorityClass. */
  object: string;
  labels: Labels;
}

/** Above everything without a priority, far below Kubernetes' own classes (2000000000). */
const value = 1_000_000;

/** The priority of a stack's own pods. Sandboxes have none and may name none, so they never evict training. */
export class TrainingPriority extends pulumi.ComponentResource {
  public readonly priorityClass: k8s.scheduling.v1.PriorityClass;

  constructor(name: string, args: TrainingPriorityArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:compute:TrainingPriority", name, args, opts);
    this.priorityClass = new k8s.scheduling.v1.PriorityClass(
      name,
      {
        metadata: deletedInBackground(
          { labels: args.labels, app: "training-priority", component: "training" },
          args.object,
        ),
        value,
        description: "Training of swe-rl: sandboxes give way to it.",
      },
      { parent: this },
    );
    this.registerOutputs({ priorityClass: this.priorityClass.metadata.name });
  }
}
