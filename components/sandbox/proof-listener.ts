import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type ListenerPlan, roleLabel } from "../../plan/network/index.ts";
import { canaryPolicyOf } from "../../plan/names.ts";
import type { Requests } from "../../plan/requests.ts";
import { type Identity, type Labels, labelsOf, leaf } from "../metadata.ts";
import { hardened, type Nodes, podBasis, pullSecrets, resourcesOf } from "../pod.ts";
import { programDirectory, programs } from "../runtime-program.ts";

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
}

/** Tells these pods from those whose role they share: a Service of the real ones must not choose them. */
const listenerLabel = "swe-rl.dev/listener";

/** A pod that listens and does nothing else, under the policies of a role, for the egress proof and the entry gates. */
export class ProofListener extends pulumi.ComponentResource {
  /** Addresses of its Service, one for each IP family of the cluster. Known once its pod listens. */
  public readonly addresses: pulumi.Output<string[]>;

  constructor(name: string, args: ProofListenerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:ProofListener", name, args, opts);
    const { labels, namespace, listener, object } = args;
    const identity = { labels, namespace, app: "proof-listener", component: "sandbox" };
    const selector = { [listenerLabel]: object };
    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: leaf(identity, object),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      { parent: this },
    );
    const deployment = new k8s.apps.v1.Deployment(
      name,
      {
        metadata: leaf(identity, object),
        spec: {
          // Canary and witness must be one process: the one answering shows that the other listens.
          replicas: 1,
          selector: { matchLabels: selector },
          template: {
            metadata: {
              labels: { ...labelsOf(identity), ...selector, [roleLabel]: listener.role },
            },
            spec: this.#pod(name, identity, { args, account: account.metadata.name }),
          },
        },
      },
      { parent: this },
    );
    this.#admit(name, identity, { args, selector });
    const service = new k8s.core.v1.Service(
      `${name}-service`,
      {
        metadata: leaf(identity, object, {
          // Its pod is ready already; looking at its endpoints as well takes ten seconds on Kubernetes plugins of the 4.18 line.
          annotations: { "pulumi.com/skipAwait": "true" },
        }),
        spec: {
          type: "ClusterIP",
          ipFamilyPolicy: "PreferDualStack",
          selector,
          ports: [...servicePorts("TCP", listener.tcp), ...servicePorts("UDP", listener.udp)],
        },
      },
      { parent: this, dependsOn: [deployment] },
    );
    // Before the Service exists its id is unknown, while its addresses would read as undefined.
    this.addresses = pulumi
      .all([service.id, service.spec.clusterIPs, service.spec.clusterIP])
      .apply(([, all, one]) => (all as string[] | undefined) ?? [one]);
    this.registerOutputs({ addresses: this.addresses });
  }

  #pod(
    name: string,
    identity: Identity,
    { args, account }: { args: ProofListenerArgs; account: pulumi.Input<string> },
  ): k8s.types.input.core.v1.PodSpec {
    const { listener } = args;
    const files = programs(
      `${name}-programs`,
      { identity, program: "egress_proof" },
      { parent: this },
    );
    const [port = 0] = listener.tcp;
    return {
      ...podBasis(args.nodes, account),
      automountServiceAccountToken: false,
      containers: [
        {
          name: "listener",
          image: args.image,
          command: ["python3", "-u", `${programDirectory}/proof_listener.py`],
          env: [
            { name: "LISTEN_TCP", value: listener.tcp.join(",") },
            { name: "LISTEN_UDP", value: listener.udp.join(",") },
          ],
          securityContext: hardened,
          readinessProbe: { tcpSocket: { port }, periodSeconds: 2, timeoutSeconds: 2 },
          resources: resourcesOf(args.requests),
          volumeMounts: [{ name: "programs", mountPath: programDirectory, readOnly: true }],
        },
      ],
      volumes: [{ name: "programs", configMap: { name: files } }],
    };
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
        metadata: leaf({ ...identity, app: "network-policy" }, canaryPolicyOf(args.object), {
          annotations: {
            "swe-rl.dev/reason": "only the sandboxes' own policy may deny them the canary",
          },
        }),
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

function servicePorts(protocol: "TCP" | "UDP", ports: readonly number[]) {
  return ports.map((port) => ({
    name: `${protocol.toLowerCase()}-${port}`,
    protocol,
    port,
    targetPort: port,
  }));
}
