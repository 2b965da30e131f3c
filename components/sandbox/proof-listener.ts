import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type ListenerPlan, roleLabel } from "../../plan/network/index.ts";
import { canaryPolicyOf } from "../../plan/names.ts";
import type { Requests } from "../../plan/requests.ts";
import { type Identity, type Labels, deletedInBackground } from "../metadata.ts";
import { hardened, type Nodes, programMount, programVolume, resourcesOf } from "../pod.ts";
import { ProgramDeployment, type ProgramTransforms } from "../program-deployment.ts";
import { programDirectory } from "../runtime-program.ts";

export interface ProofListenerArgs {
  /** Name of its objects. */
  object: string;
  listener: ListenerPlan;
  requests: Requests;
  image: string;
  namespace: pulumi.Input<string>;
  /** Namespace of the sandboxes, which its open ports admit. */
  sandboxNamespace: pulumi.Input<string>;
  nodes: Nodes;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  labels: Labels;
  /** @default no change */
  transform?: ProgramTransforms;
}

/** Tells these pods from those whose role they share: a Service of the real ones must not choose them. */
const listenerLabel = "swe-rl.dev/listener";

/** A pod that listens and does nothing else, under the policies of a role, for the egress proof and the entry gates. */
export class ProofListener extends ProgramDeployment {
  /** Addresses of its Service, one for each IP family of the cluster. Known once its pod listens. */
  public readonly addresses: pulumi.Output<string[]>;

  constructor(name: string, args: ProofListenerArgs, opts?: pulumi.ComponentResourceOptions) {
    const { labels, namespace, listener, object } = args;
    const identity = { labels, namespace, app: "proof-listener", component: "sandbox" };
    const selector = { [listenerLabel]: object };
    super(
      { type: "swe-rl:sandbox:ProofListener", name, args },
      {
        identity,
        object,
        selector,
        podLabels: { [roleLabel]: listener.role },
        nodes: args.nodes,
        pullSecret: args.pullSecret,
        program: { folder: "egress_proof" },
        // Canary and control are one process: an answer of the control shows that the canary listens.
        replicas: 1,
        deletion: "background",
        pod: (files) => ({
          automountServiceAccountToken: false,
          containers: [container(args)],
          volumes: [programVolume(files)],
        }),
        service: {
          ipFamilyPolicy: "PreferDualStack",
          ports: [...servicePorts("TCP", listener.tcp), ...servicePorts("UDP", listener.udp)],
        },
        serviceAfterPods: true,
      },
      opts,
    );
    this.#admit(name, identity, { args, selector });
    this.addresses = addressesOf(this.service);
    this.registerOutputs({ addresses: this.addresses });
  }

  /** Admits the sandboxes at the canary: were its own side closed, it would deny a pod that is still open. */
  #admit(
    name: string,
    identity: Identity,
    { args, selector }: { args: ProofListenerArgs; selector: Labels },
  ): void {
    const { tcp, udp } = args.listener.open;
    if (tcp.length + udp.length === 0) return;
    const port = (protocol: string) => (number: number) => ({ protocol, port: number });
    new k8s.networking.v1.NetworkPolicy(
      `${name}-canary`,
      {
        metadata: deletedInBackground(
          { ...identity, app: "network-policy" },
          canaryPolicyOf(args.object),
          {
            annotations: {
              "swe-rl.dev/reason": "only the sandboxes' own policy may deny them the canary",
            },
          },
        ),
        spec: {
          podSelector: { matchLabels: { ...selector } },
          policyTypes: ["Ingress"],
          ingress: [
            {
              from: [
                {
                  namespaceSelector: {
                    matchLabels: { "kubernetes.io/metadata.name": args.sandboxNamespace },
                  },
                },
              ],
              ports: [...tcp.map(port("TCP")), ...udp.map(port("UDP"))],
            },
          ],
        },
      },
      { parent: this },
    );
  }
}

/** Before the Service exists its id is unknown, while its addresses would read as undefined. */
function addressesOf(service: k8s.core.v1.Service | undefined): pulumi.Output<string[]> {
  if (!service) throw new Error("the listener has no Service");
  return pulumi
    .all([service.id, service.spec.clusterIPs, service.spec.clusterIP])
    .apply(([, all, one]) => (all as string[] | undefined) ?? [one]);
}

function container({
  listener,
  image,
  requests,
}: ProofListenerArgs): k8s.types.input.core.v1.Container {
  const [port = 0] = listener.tcp;
  return {
    name: "listener",
    image,
    command: ["python3", "-u", `${programDirectory}/proof_listener.py`],
    env: [
      { name: "LISTEN_TCP", value: listener.tcp.join(",") },
      { name: "LISTEN_UDP", value: listener.udp.join(",") },
    ],
    securityContext: hardened,
    readinessProbe: { tcpSocket: { port }, periodSeconds: 2, timeoutSeconds: 2 },
    resources: resourcesOf(requests),
    volumeMounts: [programMount],
  };
}

function servicePorts(protocol: "TCP" | "UDP", ports: readonly number[]) {
  return ports.map((port) => ({
    name: `${protocol.toLowerCase()}-${port}`,
    protocol,
    port,
    targetPort: port,
  }));
}
