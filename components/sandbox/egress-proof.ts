import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { attemptMark } from "../../plan/attempts.ts";
import {
  type Isolation,
  proofGateSeconds,
  proofPods,
  roleLabel,
  peerPort,
} from "../../plan/network/index.ts";
import { type Labels, labelsOf, deletedInBackground, deletedInForeground } from "../metadata.ts";
import {
  hardened,
  type Nodes,
  podBasis,
  programMount,
  programVolume,
  resourcesOf,
} from "../pod.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { gateEnvironment, type GateTargets } from "./entry-gate.ts";

export interface EgressProofArgs {
  /** Name of the Job. */
  object: string;
  isolation: Isolation;
  /** What else the result depends on: the network's identity. */
  network: string;
  /** Tells it from one that has failed; empty: none has. */
  attempt: string;
  namespace: pulumi.Input<string>;
  /** Nodes of the sandboxes. */
  nodes: Nodes;
  gate: pulumi.Input<GateTargets>;
  /** Addresses of the listener in the proxy's place, and of the one in Ray's place. */
  allowedTarget: pulumi.Input<string[]>;
  ray: pulumi.Input<string[]>;
  labels: Labels;
}

/** Minutes: image, gate, 75 seconds of proof, and a second pod that may have to wait for a node. */
const patienceMinutes = 15;

/**
 * Two pods where sandboxes are. One passes the gate of the sandboxes and then shows that it reaches the proxy and nothing else; the other is there to be
 * refused. Awaited; a leak fails the update, and the provider shows the pod's message, which names it.
 */
export class EgressProof extends pulumi.ComponentResource {
  public readonly job: k8s.batch.v1.Job;
  /** When the proof was completed. */
  public readonly provenAt: pulumi.Output<string>;

  constructor(name: string, args: EgressProofArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:EgressProof", name, args, opts);
    const { labels, namespace } = args;
    const identity = { labels, namespace, app: "egress-proof", component: "sandbox" };
    const files = programs(
      `${name}-programs`,
      {
        identity: { ...identity, app: "egress-proof-programs" },
        program: "egress_proof",
        beside: { "proof.json": settingsOf(args.isolation) },
      },
      { parent: this },
    );
    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      { metadata: deletedInBackground(identity, args.object), automountServiceAccountToken: false },
      { parent: this },
    );
    this.job = new k8s.batch.v1.Job(
      name,
      {
        metadata: deletedInForeground(identity, args.object),
        spec: {
          completionMode: "Indexed",
          completions: proofPods,
          parallelism: proofPods,
          backoffLimit: 0,
          activeDeadlineSeconds: patienceMinutes * 60,
          template: {
            metadata: {
              labels: { ...labelsOf(identity), [roleLabel]: "egress-proof" },
              // What the result depends on beside the pod itself: another one is another proof.
              annotations: {
                "swe-rl.dev/proves": `${args.isolation.fingerprint} ${args.network}`.trim(),
                ...attemptMark(args.attempt),
              },
            },
            spec: podSpec(args, account.metadata.name, files),
          },
        },
      },
      {
        parent: this,
        deleteBeforeReplace: true,
        replaceOnChanges: ["spec.template"],
        customTimeouts: { create: `${patienceMinutes + 1}m` },
      },
    );
    this.provenAt = pulumi
      .all([this.job.id, this.job.status.completionTime])
      .apply(([, time]) => (time as string | undefined) ?? "an unknown time");
    this.registerOutputs({ provenAt: this.provenAt });
  }
}

/** What `egress_probe.py` reads: whom the pod must reach, and whom not. */
function settingsOf({ allowedPort, targets, accepted }: Isolation): string {
  return JSON.stringify({
    allowed_target: { address: "$ALLOWED_TARGET", port: allowedPort },
    targets,
    accepted,
    peer_port: peerPort,
  });
}

function podSpec(
  args: EgressProofArgs,
  account: pulumi.Output<string>,
  files: pulumi.Output<string>,
): k8s.types.input.core.v1.PodSpec {
  return {
    ...podBasis(args.nodes, account),
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    // Echo requests without a capability. Pod security baseline allows this one.
    securityContext: {
      sysctls: [{ name: "net.ipv4.ping_group_range", value: "0 2147483647" }],
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [prover(args)],
    volumes: [programVolume(files)],
  };
}

/**
 * The program passes the gate itself: an init container that stays shut would end the pod before it could say what is
 * open.
 */
function gateVariables({ gate, isolation }: EgressProofArgs) {
  const plan = { ...isolation.gate, timeoutSeconds: proofGateSeconds };
  const names = ["CANARY", "CONTROL", "PROXY", "TIMEOUT_SECONDS", "QUIET_SECONDS"] as const;
  return names.map((name) => ({
    name,
    value: pulumi.output(gate).apply((targets) => gateEnvironment(plan, targets)[name]),
  }));
}

function prover(args: EgressProofArgs): k8s.types.input.core.v1.Container {
  const field = (name: string, fieldPath: string) => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  const addresses = (list: pulumi.Input<string[]>) =>
    pulumi.output(list).apply((all) => all.join(","));
  return {
    name: "proof",
    image: args.isolation.image,
    imagePullPolicy: "IfNotPresent",
    command: ["python3", "-u", `${programDirectory}/egress_probe.py`],
    env: [
      { name: "PROOF", value: `${programDirectory}/proof.json` },
      ...gateVariables(args),
      { name: "ALLOWED_TARGET", value: addresses(args.allowedTarget) },
      { name: "RAY", value: addresses(args.ray) },
      // Each run of the Job is a proof of its own.
      field("RUN", "metadata.labels['batch.kubernetes.io/controller-uid']"),
      field("NODE_NAME", "spec.nodeName"),
      field("POD_NAMESPACE", "metadata.namespace"),
      field("POD_IPS", "status.podIPs"),
      field("HOST_IPS", "status.hostIPs"),
    ],
    securityContext: hardened,
    resources: resourcesOf(args.isolation.proofRequests, { "ephemeral-storage": "16Mi" }),
    volumeMounts: [programMount],
  };
}
