import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Prepull } from "../../plan/sandbox/index.ts";
import {
  type Identity,
  type Labels,
  labelsOf,
  deletedInBackground,
  deletedInForeground,
} from "../metadata.ts";
import { podBasis, pullSecrets, resourcesOf, unprivileged } from "../pod.ts";

/** Images as pods name them. */
type PrepullImages = Omit<Prepull, "images"> & { readonly images: readonly pulumi.Input<string>[] };

export interface ImagePrepullArgs {
  prepull: PrepullImages;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
}

/**
 * Has every sandbox node pull the images, and keep them: what a pod uses, no node throws away. They are mounted and not
 * run, so that no code of a task is executed outside a sandbox; the cluster must offer image volumes, which the agent's
 * runtime needs anyway. Not awaited: images that cannot be pulled are shown by `npm run images`.
 */
export class ImagePrepull extends pulumi.ComponentResource {
  public readonly account: k8s.core.v1.ServiceAccount;
  public readonly daemonSet: k8s.apps.v1.DaemonSet;

  constructor(name: string, args: ImagePrepullArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:ImagePrepull", name, args, opts);
    const { prepull } = args;
    const identity: Identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: prepull.name,
      component: "sandbox",
    };
    this.account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: deletedInBackground(identity, prepull.name),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      { parent: this },
    );
    const labels = labelsOf(identity);
    this.daemonSet = new k8s.apps.v1.DaemonSet(
      name,
      {
        metadata: deletedInForeground(identity, prepull.name, {
          annotations: { "pulumi.com/skipAwait": "true" },
        }),
        spec: {
          selector: { matchLabels: labels },
          updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "100%" } },
          template: { metadata: { labels }, spec: podSpec(prepull, this.account.metadata.name) },
        },
      },
      { parent: this },
    );
    this.registerOutputs({ daemonSet: this.daemonSet.metadata.name });
  }
}

/** A volume and a container for each image: each says for itself what became of its own. */
function podSpec(
  prepull: PrepullImages,
  account: pulumi.Output<string>,
): k8s.types.input.core.v1.PodSpec {
  const volumes = prepull.images.map((reference, i) => ({ name: `image-${i}`, reference }));
  return {
    ...podBasis(prepull, account),
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65535,
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: volumes.map((volume) => ({
      name: volume.name,
      image: prepull.pauseImage,
      securityContext: unprivileged,
      resources: resourcesOf(prepull.requests),
      volumeMounts: [{ name: volume.name, mountPath: "/image", readOnly: true }],
    })),
    volumes: volumes.map((volume) => ({
      name: volume.name,
      image: { reference: volume.reference, pullPolicy: "IfNotPresent" },
    })),
  };
}
