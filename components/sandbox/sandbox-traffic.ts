import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type Labels, deletedInBackground } from "../metadata.ts";

export interface SandboxTrafficArgs {
  /** Name of the cluster-wide objects. */
  object: string;
  /** The trainer's account, which makes, enters and deletes the sandboxes. */
  account: string;
  accountNamespace: pulumi.Input<string>;
  namespace: pulumi.Input<string>;
  labels: Labels;
}

/** Share of the API server's seats: beside Kubernetes' own levels (245 in all) about one in thirteen. */
const concurrencyShares = 20;

/** Before the level of all service accounts (9000). */
const precedence = 1000;

/**
 * The trainer's calls to the API server have a level and queues of their own: the churn of hundreds of pods waits behind
 * itself and never behind or before the controllers and kubelets (harbor#3168).
 */
export class SandboxTraffic extends pulumi.ComponentResource {
  public readonly level: k8s.flowcontrol.v1.PriorityLevelConfiguration;
  public readonly flow: k8s.flowcontrol.v1.FlowSchema;

  constructor(name: string, args: SandboxTrafficArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:SandboxTraffic", name, args, opts);
    const metadata = deletedInBackground(
      { labels: args.labels, app: "sandbox-traffic", component: "sandbox" },
      args.object,
    );
    this.level = new k8s.flowcontrol.v1.PriorityLevelConfiguration(
      `${name}-level`,
      {
        metadata,
        spec: {
          type: "Limited",
          limited: {
            nominalConcurrencyShares: concurrencyShares,
            lendablePercent: 50,
            limitResponse: {
              type: "Queue",
              queuing: { queues: 64, handSize: 6, queueLengthLimit: 50 },
            },
          },
        },
      },
      { parent: this },
    );
    this.flow = new k8s.flowcontrol.v1.FlowSchema(
      `${name}-flow`,
      {
        metadata,
        spec: {
          priorityLevelConfiguration: { name: this.level.metadata.name },
          matchingPrecedence: precedence,
          distinguisherMethod: { type: "ByUser" },
          rules: [
            {
              subjects: [
                {
                  kind: "ServiceAccount",
                  serviceAccount: { name: args.account, namespace: args.accountNamespace },
                },
              ],
              resourceRules: [
                {
                  apiGroups: [""],
                  resources: ["pods", "pods/exec", "pods/log"],
                  verbs: ["*"],
                  namespaces: [args.namespace],
                },
              ],
            },
          ],
        },
      },
      { parent: this },
    );
    this.registerOutputs({ flow: this.flow.metadata.name });
  }
}
