import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Names } from "../../plan/names.ts";
import type { Sandboxes } from "../../plan/sandbox/index.ts";
import { type Labels, leaf } from "../metadata.ts";
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
  constructor(name: string, args: SandboxBoundsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:SandboxBounds", name, args, opts);
    const { quota, perPod, pods } = args.sandboxes;
    const identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: "sandbox",
      component: "sandbox",
    };
    new k8s.core.v1.ResourceQuota(
      `${name}-quota`,
      {
        metadata: leaf(identity, args.names.sandboxBounds),
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
    new k8s.core.v1.LimitRange(
      `${name}-limits`,
      {
        metadata: leaf(identity, args.names.sandboxBounds),
        spec: {
          limits: [
            {
              type: "Container",
              // For what a pod leaves out: an unbounded sandbox once took a node down.
              defaultRequest: {
                cpu: String(perPod.cpus),
                memory: String(perPod.memoryRequestBytes),
              },
              default: {
                memory: String(perPod.memoryLimitBytes),
                "ephemeral-storage": String(perPod.ephemeralStorageBytes),
              },
              max: {
                memory: String(perPod.memoryLimitBytes),
                "ephemeral-storage": String(perPod.ephemeralStorageBytes),
              },
            },
          ],
        },
      },
      { parent: this },
    );
    new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: leaf(identity, args.names.sandboxServiceAccount),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      // Kubernetes makes this account again as soon as it is gone: waiting for its deletion would never end.
      { parent: this, provider: args.adoptWith, retainOnDelete: true },
    );
    this.registerOutputs();
  }
}
