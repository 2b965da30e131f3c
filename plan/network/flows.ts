import type { Basis } from "../host.ts";
import type { NamespaceRole, Names } from "../names.ts";
import type { RayPorts } from "../ray/index.ts";
import type { FrozenModel, InProcessProxy, Proxy } from "../serving/index.ts";

/** Label by which network policies know our pods. */
export const roleLabel = "swe-rl.dev/role";
export type Role =
  | "ray-head"
  | "ray-worker"
  | "trainer"
  | "proxy"
  | "recorder"
  | "frozen-model"
  | "sandbox"
  | "egress-proof"
  | "reaper";

/** Label that Kubernetes itself puts on every namespace. */
export const namespaceName = "kubernetes.io/metadata.name";

/** One end of a flow. */
export type Peer =
  /** Pods of the stack: those with a role, or all of a namespace, or all of it but those with a role. */
  | {
      readonly kind: "pods";
      readonly namespaceRole: NamespaceRole;
      readonly role?: Role;
      readonly except?: Role;
    }
  /** Pods of a namespace that is not ours. */
  | {
      readonly kind: "foreign";
      readonly namespace: string;
      readonly labels: Readonly<Record<string, string>>;
    }
  /** Any address outside the cluster's link-local ranges. */
  | { readonly kind: "anywhere" };

export interface PortRange {
  readonly protocol: "TCP" | "UDP";
  readonly from: number;
  readonly to: number;
}

/** A connection that the network must allow. Whatever is not a flow is denied. */
export interface Flow {
  readonly name: string;
  /** Why the run cannot do without it. */
  readonly reason: string;
  readonly from: Peer;
  readonly to: Peer;
  /** Empty: every port. */
  readonly ports: readonly PortRange[];
}

const tcp = (from: number, to = from): PortRange => ({ protocol: "TCP", from, to });
const udp = (from: number, to = from): PortRange => ({ protocol: "UDP", from, to });

const train: Peer = { kind: "pods", namespaceRole: "train" };
const sandbox: Peer = { kind: "pods", namespaceRole: "sandbox" };
const proxy: Peer = { kind: "pods", namespaceRole: "proxy", role: "proxy" };
const rayWorker: Peer = { kind: "pods", namespaceRole: "train", role: "ray-worker" };
const recorder: Peer = { kind: "pods", namespaceRole: "train", role: "recorder" };

/** Addresses that no pod may reach by an "anywhere" rule: the node's metadata service lies there. */
export const linkLocal = {
  v4: ["169.254.0.0/16"],
  v6: ["fe80::/10", "fd00:ec2::254/128"],
} as const;

export function planFlows(
  settings: Basis,
  { ports, proxy }: { ports: RayPorts; proxy: Proxy | InProcessProxy },
): Flow[] {
  const { experiment, host } = settings;
  const isLiteLlm = proxy.mode === "litellm";
  const dns: Peer = { kind: "foreign", ...host.network.dns };
  return [
    ...(proxy.mode === "litellm" ? liteLlmFlows(settings) : inProcessFlows(proxy)),
    {
      name: "within-training",
      reason: "Ray, NCCL, the weight sync and the rollout servers use ports of their own choice",
      from: train,
      to: train,
      ports: [],
    },
    {
      name: "training-to-dns",
      reason: "names of the head, the tracker and the API server",
      from: train,
      to: dns,
      ports: [udp(53), tcp(53)],
    },
    {
      name: "training-to-outside",
      reason: "the API server (sandboxes are made and entered through it) and the tracker",
      from: train,
      to: { kind: "anywhere" },
      // The tracker's among them.
      ports: [...new Set([443, ...host.network.api_server_ports])].map((port) => tcp(port)),
    },
    ...host.network.monitoring_namespaces.flatMap((namespace) =>
      monitoringFlows(namespace, ports, isLiteLlm ? experiment.infrastructure.litellm_port : 0),
    ),
  ];
}

function liteLlmFlows({ experiment, host }: Basis): Flow[] {
  const proxyPort = experiment.infrastructure.litellm_port;
  return [
    {
      name: "sandboxes-to-proxy",
      reason: "agents reach the policy; nothing else is open to them, not even DNS",
      from: sandbox,
      to: proxy,
      ports: [tcp(proxyPort)],
    },
    {
      name: "training-to-proxy",
      reason: "the agent loop checks the chain before it starts trials",
      from: train,
      to: proxy,
      ports: [tcp(proxyPort)],
    },
    {
      name: "proxy-to-recorder",
      reason: "LiteLLM reaches the rollout servers through the recorder, and nothing else of Ray",
      from: proxy,
      to: recorder,
      ports: [tcp(experiment.proxy.recorder_port)],
    },
    {
      name: "proxy-to-dns",
      reason: "the name of the recorder",
      from: { kind: "pods", namespaceRole: "proxy" },
      to: { kind: "foreign", ...host.network.dns },
      ports: [udp(53), tcp(53)],
    },
  ];
}

/** verl runs agent-loop workers on every Ray node with CPUs: all worker groups, and not the head, which offers none. */
function inProcessFlows({ ports, isKeyed }: InProcessProxy): Flow[] {
  return [
    {
      name: "sandboxes-to-agent-loops",
      reason: isKeyed
        ? "each trial is served by its agent-loop worker, on a port that is known only when the worker has started"
        : "each trial has a URL in an agent-loop worker, on a port that is known only when the worker has started",
      from: sandbox,
      to: rayWorker,
      ports: [tcp(ports.from, ports.to)],
    },
  ];
}

/** @param proxyPort 0 where there is no proxy. */
function monitoringFlows(namespace: string, ports: RayPorts, proxyPort: number): Flow[] {
  const monitoring: Peer = { kind: "foreign", namespace, labels: {} };
  const toRay: Flow = {
    name: `${namespace}-to-ray`,
    reason: "metrics of Ray",
    from: monitoring,
    to: train,
    ports: [tcp(ports.metrics)],
  };
  const toProxy: Flow = {
    name: `${namespace}-to-proxy`,
    reason: "metrics of the proxy",
    from: monitoring,
    to: proxy,
    ports: [tcp(proxyPort)],
  };
  return proxyPort === 0 ? [toRay] : [toRay, toProxy];
}

/** Label value by which network policies select frozen models. */
const role = "frozen-model";

/**
 * The flows with those of the frozen models. Only other pods of the training namespace may call the models, on their
 * port; the models call no one, and flows for all pods of that namespace exclude them.
 */
export function withServingFlows(
  flows: readonly Flow[],
  models: readonly FrozenModel[],
): readonly Flow[] {
  if (models.length === 0) return flows;
  const others = (peer: Peer): Peer =>
    peer.kind === "pods" && peer.namespaceRole === "train" && peer.role === undefined
      ? { ...peer, except: role }
      : peer;
  const ports = [...new Set(models.map(({ port }) => port))].sort((a, b) => a - b);
  return [
    ...flows.map((flow) => ({ ...flow, from: others(flow.from), to: others(flow.to) })),
    {
      name: "training-to-frozen-models",
      reason:
        "evaluation and judging; training pods call them, and they open no connection themselves",
      from: { kind: "pods", namespaceRole: "train", except: role },
      to: { kind: "pods", namespaceRole: "train", role },
      ports: ports.map((port) => ({ protocol: "TCP", from: port, to: port })),
    },
  ];
}

/** A peer as a person reads it. */
export function describePeer(peer: Peer, names: Names): string {
  switch (peer.kind) {
    case "pods":
      return `${names.namespaces[peer.namespaceRole]}/${peer.role ?? (peer.except ? `* but ${peer.except}` : "*")}`;
    case "foreign":
      return peer.namespace;
    case "anywhere":
      return "anywhere";
  }
}
