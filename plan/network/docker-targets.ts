/** Whom a sandbox on a Docker host must not reach. */
import type { FixedAddresses } from "./docker-addresses.ts";
import { type AlsoDenied, internet, metadata, peerPort, type ProofTarget } from "./targets.ts";

/** Gateways of the networks that Docker makes by itself: 172.17.0.1 is the host on the default bridge. */
const otherBridges = Array.from({ length: 15 }, (_, i) => `172.${17 + i}.0.1`);

/** The same on bridges that may be missing on this host: each attempt takes seconds. */
const otherBridgePorts = [22, 2375, 2376] as const;

/** SSH, web servers, registries, exporters, and the daemon without and with TLS and its metrics. */
const hostPorts = [22, 80, 443, 2375, 2376, 4243, 5000, 9100, 9323] as const;

export function dockerProofTargets(parts: {
  addresses: FixedAddresses;
  allowedPort: number;
  canaryPort: number;
  /** URL of the daemon. */
  daemon: string;
  ray: readonly number[];
  services: readonly number[];
  alsoDenied: readonly AlsoDenied[];
}): ProofTarget[] {
  const { addresses, allowedPort, canaryPort, ray, services, alsoDenied } = parts;
  const { allowedTarget, peer, sandboxGateway, trainGateway } = addresses;
  const tcp = { kind: "tcp", listens: true } as const;
  const udp = { kind: "udp", listens: true } as const;
  const canary = {
    addresses: [allowedTarget],
    ports: [canaryPort],
    early: true,
    calibrates: true,
  } as const;
  const host = { addresses: [sandboxGateway], own_node: true } as const;
  const daemon = /^tcp:\/\/(\d+\.\d+\.\d+\.\d+):(\d+)$/.exec(parts.daemon);
  return [
    { ...tcp, name: "canary", ...canary },
    { ...udp, name: "canary by UDP", ...canary },
    { ...udp, name: "proxy by UDP", addresses: [allowedTarget], ports: [allowedPort] },
    { ...tcp, name: "another sandbox", addresses: [peer], ports: [peerPort] },
    { ...udp, name: "another sandbox by UDP", addresses: [peer], ports: [peerPort] },
    { name: "internet", kind: "tcp", addresses: internet, ports: [80, 443], early: true },
    { name: "internet by name", kind: "name", addresses: ["example.com"] },
    { name: "DNS by UDP", kind: "dns-udp", addresses: [sandboxGateway, ...internet], early: true },
    { name: "DNS by TCP", kind: "dns-tcp", addresses: [sandboxGateway, ...internet] },
    { name: "node metadata", kind: "tcp", addresses: metadata, ports: [80] },
    { ...tcp, name: "Ray", addresses: [addresses.ray], ports: ray },
    { ...tcp, name: "services of training", addresses: [addresses.ray], ports: services },
    { name: "host: gateway", kind: "tcp", ...host, ports: hostPorts, early: true },
    { name: "host: ICMP", kind: "icmp", ...host },
    { name: "host: training network", kind: "tcp", addresses: [trainGateway], ports: hostPorts },
    { name: "host: other bridges", kind: "tcp", addresses: otherBridges, ports: otherBridgePorts },
    ...(daemon?.[1] !== undefined
      ? [
          {
            name: "host: daemon",
            kind: "tcp" as const,
            addresses: [daemon[1]],
            ports: [Number(daemon[2])],
          },
        ]
      : []),
    { name: "ICMP", kind: "icmp", addresses: [allowedTarget, peer, trainGateway, ...internet] },
    ...alsoDenied.map((target) => ({ kind: "tcp" as const, ...target })),
  ];
}
