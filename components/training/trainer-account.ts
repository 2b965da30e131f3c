import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { grant } from "../grant.ts";
import { type Labels, deletedInBackground } from "../metadata.ts";
import { pullSecrets } from "../pod.ts";

export interface TrainerAccountArgs {
  /** Name of the account. */
  account: string;
  namespace: pulumi.Input<string>;
  sandboxNamespace: pulumi.Input<string>;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  labels: Labels;
}

/**
 * The account of Ray's pods, whose agent loops start the sandboxes. It may create, read, delete and enter pods of the
 * sandbox namespace, and nothing else anywhere.
 */
export class TrainerAccount extends pulumi.ComponentResource {
  public readonly account: k8s.core.v1.ServiceAccount;
  /** What it may do in the sandbox namespace. */
  public readonly role: k8s.rbac.v1.Role;
  /** Name of the account. */
  public readonly serviceAccount: pulumi.Output<string>;

  constructor(name: string, args: TrainerAccountArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:training:TrainerAccount", name, args, opts);
    const identity = { labels: args.labels, app: args.account, component: "training" };
    this.account = new k8s.core.v1.ServiceAccount(
      name,
      {
        metadata: deletedInBackground({ ...identity, namespace: args.namespace }, args.account),
        ...pullSecrets(args.pullSecret),
      },
      { parent: this },
    );
    this.serviceAccount = this.account.metadata.name;
    this.role = grant(this, name, {
      identity: { ...identity, namespace: args.sandboxNamespace },
      object: args.account,
      rules: [
        { apiGroups: [""], resources: ["pods"], verbs: ["create", "get", "delete"] },
        // Entering a pod over a websocket is a GET; newer API servers ask for `create` as well.
        { apiGroups: [""], resources: ["pods/exec"], verbs: ["create", "get"] },
      ],
      account: { name: this.serviceAccount, namespace: args.namespace },
    }).role;
    this.registerOutputs({ serviceAccount: this.serviceAccount });
  }
}
