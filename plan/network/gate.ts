import type { RayPorts } from "../ray/index.ts";
import type { FrozenModel, InProcessProxy, Proxy } from "../serving/index.ts";
import { fixedAddresses } from "./docker-addresses.ts";
import { dockerProofTargets } from "./docker-targets.ts";
import type { Flow, Role } from "./flows.ts";
import { proofTargets, type ProofTarget } from "./targets.ts";
import { digest } from "../digest.ts";
import type { Basis } from "../host.ts";
import type { NamespaceRole } from "../names.ts";
import { type Requests, requestsOf } from "../requests.ts";

/** A pod that only listens, so that sandboxes have a target that refuses or admits them. */
export interface ListenerPlan {
  readonly namespaceRole: NamespaceRole;
  /** By which the policies know it. */
  readonly role: Role;
  readonly tcp: readonly number[];
  readonly udp: readonly number[];
  /** Ports at which it admits the sandboxes, so that only their own policy can be what denies them. */
  readonly open: { readonly tcp: readonly number[]; readonly udp: readonly number[] };
}

/** The entry gate of every sandbox: see `runtime/egress_proof/entry_gate.py`. */
export interface GatePlan {
  readonly image: string;
  readonly timeoutSeconds: number;
  readonly quietSeconds: number;
}

/** How it is made sure, and shown, that sandboxes reach the proxy and nothing else. */
export interface Isolation {
  /** Whether training waits for a proof. */
  readonly requireProof: boolean;
  readonly image: string;
  readonly gate: GatePlan;
  /** Stands where the proxy will be: its first TCP port is the one that the sandboxes' policy admits. */
  readonly allowedTarget: ListenerPlan;
  readonly allowedPort: number;
  readonly canaryPort: number;
  /** Stands where Ray will be. */
  readonly decoy: ListenerPlan;
  /** Of one listener. */
  readonly listenerRequests: Requests;
  /** Of one of the two pods of the proof. */
  readonly proofRequests: Requests;
  readonly targets: readonly ProofTarget[];
  /** Reasons of the site, by target. */
  readonly accepted: Readonly<Record<string, string>>;
  /** Changes with every policy, and with the proxy. */
  readonly fingerprint: string;
}

/** The canary's port where the proxy has another. */
const canaryPorts = [8999, 8998] as const;

/** How long a pod must have been closed: longer than the pauses that were seen between two states of a filter. */
const quietSeconds = 1;

/** Pods of the egress proof: one that tries the targets, and one that it must not reach. */
export const proofPods = 2;

/** How long the proof waits at its gate: the longest delay that was seen is a few seconds. */
export const proofGateSeconds = 60;

/** How a proof's verdict ends where the site accepts that targets are reached. */
export function exceptAccepted({ accepted }: Pick<Isolation, "accepted">): string {
  const names = Object.keys(accepted);
  return names.length > 0 ? `, but for what the site accepts: ${names.join("; ")}` : "";
}

export function planIsolation(
  settings: Basis,
  parts: {
    ports: RayPorts;
    proxy: Proxy | InProcessProxy;
    flows: readonly Flow[];
    serving: readonly FrozenModel[];
  },
): Isolation {
  const { experiment, host } = settings;
  const { ports: rayPorts, proxy, flows, serving } = parts;
  const isLiteLlm = proxy.mode === "litellm";
  const allowedPort = proxy.mode === "litellm" ? proxy.port : proxy.ports.from;
  const canaryPort = canaryPorts.find((port) => port !== allowedPort) ?? canaryPorts[0];
  const { gcs, dashboard, client, ephemeral } = rayPorts;
  const ray = [gcs, dashboard, client, ephemeral.from, ephemeral.to];
  const services = [
    ...(isLiteLlm ? [experiment.proxy.recorder_port] : []),
    ...serving.map(({ port }) => port),
  ];
  const { require_proof: requireProof, accepted, also_denied: alsoDenied } = host.isolation;
  const ports = { allowedPort, canaryPort, ray, services };
  const targets = host.docker
    ? dockerProofTargets({
        ...ports,
        addresses: fixedAddresses(host.docker.subnets),
        daemon: host.docker.host,
        alsoDenied,
      })
    : proofTargets({ ...ports, alsoDenied });
  return {
    requireProof,
    image: host.images.gate,
    gate: {
      image: host.images.gate,
      // The other half is for the images of the task.
      timeoutSeconds: Math.ceil(experiment.k8s.pod_startup_timeout / 2),
      quietSeconds,
    },
    allowedTarget: {
      namespaceRole: isLiteLlm ? "proxy" : "train",
      role: isLiteLlm ? "proxy" : "ray-worker",
      tcp: [allowedPort, canaryPort],
      udp: [allowedPort, canaryPort],
      open: { tcp: [canaryPort], udp: [allowedPort, canaryPort] },
    },
    allowedPort,
    canaryPort,
    decoy: {
      namespaceRole: "train",
      role: "ray-head",
      tcp: [...new Set([...ray, ...services])],
      udp: [],
      open: { tcp: [], udp: [] },
    },
    listenerRequests: requestsOf(20, { memory: 48, limit: 128 }),
    proofRequests: requestsOf(100, { memory: 64, limit: 256 }),
    targets,
    accepted: Object.fromEntries(accepted.map(({ target, reason }) => [target, reason])),
    fingerprint: digest(
      JSON.stringify([flows, experiment.proxy, isLiteLlm && host.images.litellm]),
      16,
    ),
  };
}
