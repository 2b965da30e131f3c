import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { roleLabel } from "../../plan/network/index.ts";
import { type Labels, deletedInBackground } from "../metadata.ts";

export interface ProxyEndpointArgs {
  /** Name of the Service. */
  service: string;
  port: number;
  namespace: pulumi.Input<string>;
  labels: Labels;
}

/** LiteLLM's pods and no others: policies know them by the role alone, and the egress proof's listener by the same. */
export const proxyPods: Labels = { [roleLabel]: "proxy", "app.kubernetes.io/name": "litellm" };

/** Seconds that a client stays with one proxy pod: longer than a trial. */
const affinitySeconds = 10_800;

/**
 * The address of the proxy. It exists before the proxy does, since the trainer's environment names it and the proxy
 * waits for the trainer.
 */
export class ProxyEndpoint extends pulumi.ComponentResource {
  /** URL by address: sandboxes have no DNS. */
  public readonly url: pulumi.Output<string>;

  constructor(name: string, args: ProxyEndpointArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:inference:ProxyEndpoint", name, args, opts);
    const service = new k8s.core.v1.Service(
      name,
      {
        metadata: deletedInBackground(
          { labels: args.labels, namespace: args.namespace, app: "litellm", component: "proxy" },
          args.service,
          // `skipAwait`: endpoints appear only after LiteLLM, which depends on this Service.
          { annotations: { "pulumi.com/skipAwait": "true" } },
        ),
        spec: {
          type: "ClusterIP",
          selector: { ...proxyPods },
          ports: [{ name: "http", port: args.port, targetPort: args.port }],
          // LiteLLM pins a trial to one rollout server in its own memory, so a trial must stay with one pod.
          sessionAffinity: "ClientIP",
          sessionAffinityConfig: { clientIP: { timeoutSeconds: affinitySeconds } },
        },
      },
      { parent: this },
    );
    // Before the Service exists its id is unknown, while its address would read as undefined.
    this.url = pulumi
      .all([service.id, service.spec.clusterIP])
      .apply(([, address]) => `http://${address}:${args.port}`);
    this.registerOutputs({ url: this.url });
  }
}
