/** Whom a sandbox must not reach. What the fields mean: `runtime/egress_proof/egress_probe.py`, `runtime/egress_proof/proof_verdict.py`. */
export interface ProofTarget {
  readonly name: string;
  readonly kind: "tcp" | "udp" | "icmp" | "dns-udp" | "dns-tcp" | "name";
  /** `$NAME` is taken from the environment of the proof's pod; `$RESOLVERS` and `$PEERS` are found out there. */
  readonly addresses: readonly string[];
  readonly ports?: readonly number[];
  readonly listens?: true;
  readonly early?: true;
  readonly calibrates?: true;
  readonly own_node?: true;
}

/** A target that a site adds. */
export interface AlsoDenied {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
}

/** Port of the listener in the place of another sandbox. */
export const peerPort = 8997;

/** Well-known addresses outside, which answer on these ports wherever there is a way to them. */
export const internet = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111"];

/** Where clouds give a node its credentials: AWS, Google and Azure; ECS; Azure's agent; AWS by IPv6. */
export const metadata = ["169.254.169.254", "169.254.170.2", "168.63.129.16", "fd00:ec2::254"];

export function proofTargets(parts: {
  allowedPort: number;
  canaryPort: number;
  ray: readonly number[];
  services: readonly number[];
  alsoDenied: readonly AlsoDenied[];
}): ProofTarget[] {
  const { allowedPort, canaryPort, ray, services, alsoDenied } = parts;
  const tcp = { kind: "tcp", listens: true } as const;
  const node = { addresses: ["$HOST_IPS"], own_node: true } as const;
  const canary = { addresses: ["$ALLOWED_TARGET"], ports: [canaryPort] } as const;
  return [
    { ...tcp, name: "canary", ...canary, early: true, calibrates: true },
    {
      name: "canary by UDP",
      kind: "udp",
      ...canary,
      listens: true,
      early: true,
      calibrates: true,
    },
    {
      name: "proxy by UDP",
      kind: "udp",
      addresses: ["$ALLOWED_TARGET"],
      ports: [allowedPort],
      listens: true,
    },
    // Before those of whom nobody knows whether they listen: a kernel sends a pod only so many errors a second.
    { ...tcp, name: "another sandbox", addresses: ["$PEERS"], ports: [peerPort] },
    {
      name: "another sandbox by UDP",
      kind: "udp",
      addresses: ["$PEERS"],
      ports: [peerPort],
      listens: true,
    },
    { name: "internet", kind: "tcp", addresses: internet, ports: [80, 443], early: true },
    { name: "internet by name", kind: "name", addresses: ["example.com"] },
    { name: "DNS by UDP", kind: "dns-udp", addresses: ["$RESOLVERS", ...internet], early: true },
    { name: "DNS by TCP", kind: "dns-tcp", addresses: ["$RESOLVERS", ...internet] },
    {
      ...tcp,
      name: "API server",
      addresses: ["$KUBERNETES_SERVICE_HOST"],
      ports: [443],
      early: true,
    },
    { name: "node metadata", kind: "tcp", addresses: metadata, ports: [80] },
    { ...tcp, name: "Ray", addresses: ["$RAY"], ports: ray },
    ...(services.length > 0
      ? [{ ...tcp, name: "services of training", addresses: ["$RAY"], ports: services }]
      : []),
    { name: "own node: kubelet", kind: "tcp", ...node, ports: [10250] },
    { name: "own node: API server", kind: "tcp", ...node, ports: [6443] },
    {
      name: "own node: ports 30000-32767",
      kind: "tcp",
      ...node,
      ports: [30000, 30080, 31000, 32000, 32767],
    },
    {
      name: "own node: ports 30000-32767 by UDP",
      kind: "udp",
      ...node,
      ports: [30000, 31000, 32767],
    },
    { name: "own node: ICMP", kind: "icmp", ...node },
    // The address of a Service answers no echo on most networks; that of a pod does.
    { name: "ICMP", kind: "icmp", addresses: ["$ALLOWED_TARGET", "$PEERS", ...internet] },
    ...alsoDenied.map((target) => ({ kind: "tcp" as const, ...target })),
  ];
}
