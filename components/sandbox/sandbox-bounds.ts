import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Names } from "../../plan/names.ts";
import type { Sandboxes } from "../../plan/sandbox/index.ts";
import { type Identity, type Labels, deletedInBackground } from "../metadata.ts";
import { pullSecrets } from "../pod.ts";

export interface SandboxBoundsArgs {
  names: Pick<Names, "sandboxBounds" | "sandboxServiceAccount">;
  sandboxes: Sandboxes;
  namespace: pulumi.Input<string>;
  /** Secret with registry credentials: Harbor names none in its pods. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** Provider that takes over the namespace's own `default` account, which Kubernetes makes first. */
  adoptWith: k8s.Provider;
  labels: Labels;
}

/** Quota, limits and account of the sandbox namespace: Harbor makes its pods at run time, so only these bind them. */
export class SandboxBounds extends pulumi.ComponentResource {
  public readonly quota: k8s.core.v1.ResourceQuota;
  public readonly limits: k8s.core.v1.LimitRange;
  public readonly account: k8s.core.v1.ServiceAccount;

  constructor(name: string, args: SandboxBoundsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:SandboxBounds", name, args, opts);
    const { labels, namespace } = args;
    const identity = { labels, namespace, app: "sandbox", component: "sandbox" };
    this.quota = this.#quota(name, identity, args);
    this.limits = this.#limits(name, identity, args);
    this.account = this.#account(name, identity, args);
    this.registerOutputs({ account: this.account.metadata.name });
  }

  #quota(name: string, identity: Identity, args: SandboxBoundsArgs): k8s.core.v1.ResourceQuota {
    const { quota, pods } = args.sandboxes;
    return new k8s.core.v1.ResourceQuota(
      `${name}-quota`,
      {
        metadata: deletedInBackground(identity, args.names.sandboxBounds),
        spec: {
          hard: {
            pods: String(pods),
            "requests.cpu": String(quota.cpus),
            "requests.memory": String(quota.memoryRequestBytes),
            "limits.memory": String(quota.memoryLimitBytes),
            "limits.ephemeral-storage": String(quota.ephemeralStorageBytes),
            "requests.ephemeral-storage": String(quota.ephemeralStorageBytes),
            persistentvolumeclaims: "0",
            services: "0",
            "services.loadbalancers": "0",
            "services.nodeports": "0",
          },
        },
      },
      { parent: this },
    );
  }

  #limits(name: string, identity: Identity, args: SandboxBoundsArgs): k8s.core.v1.LimitRange {
    const { perPod } = args.sandboxes;
    const most = {
      memory: String(perPod.memoryLimitBytes),
      "ephemeral-storage": String(perPod.ephemeralStorageBytes),
    };
    return new k8s.core.v1.LimitRange(
      `${name}-limits`,
      {
        metadata: deletedInBackground(identity, args.names.sandboxBounds),
        spec: {
          limits: [
            {
              type: "Container",
              // For what a pod leaves out: an unbounded sandbox once took a node down.
              defaultRequest: {
                cpu: String(perPod.cpus),
                memory: String(perPod.memoryRequestBytes),
              },
              default: most,
              max: most,
            },
          ],
        },
      },
      { parent: this },
    );
  }

  #account(name: string, identity: Identity, args: SandboxBoundsArgs): k8s.core.v1.ServiceAccount {
    return new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: deletedInBackground(identity, args.names.sandboxServiceAccount),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      // Kubernetes makes this account again as soon as it is gone: waiting for its deletion would never end.
      { parent: this, provider: args.adoptWith, retainOnDelete: true },
    );
  }
}
