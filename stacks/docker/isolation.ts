/** What closes the sandboxes' network on a Docker host, and shows that it is closed. */
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { EgressProof } from "../../components/docker/egress-proof.ts";
import type { Networks } from "../../components/docker/networks.ts";
import { ProofListener } from "../../components/docker/proof-listener.ts";
import { SandboxFirewall } from "../../components/docker/sandbox-firewall.ts";
import type { DockerHost } from "../../plan/docker/index.ts";
import { peerPort } from "../../plan/network/index.ts";
import type { Plan } from "../../plan/plan.ts";
import type { PreflightResult } from "../../preflight/preflight.ts";

export interface Closed {
  /** What must be there before training. */
  readonly before: readonly pulumi.Input<pulumi.Resource>[];
  /** The verdict, or why there is none. */
  readonly isolation: pulumi.Output<string>;
}

export function closeSandboxes(
  { isolation, labels, trainer }: Plan,
  host: DockerHost,
  parts: { provider: docker.Provider; networks: Networks; checked: PreflightResult },
): Closed {
  const { provider, networks, checked } = parts;
  const { addresses, containers } = host;
  const { doorPort, door, standIn } = isolation;
  const firewall = new SandboxFirewall(
    "sandbox-firewall",
    { host, image: trainer.image, doorPort, labels },
    { provider, dependsOn: [networks] },
  );
  if (checked.unproven !== undefined) {
    return { before: [firewall], isolation: pulumi.output(checked.unproven) };
  }
  const listen = (name: string, args: ListenerPlace) =>
    new ProofListener(name, { image: isolation.image, labels, ...args }, { provider });
  const listeners = [
    listen("proof-door", {
      container: containers.proofDoor,
      tcp: door.tcp,
      udp: door.udp,
      network: networks.sandbox,
      address: addresses.door,
    }),
    listen("proof-ray", {
      container: containers.proofRay,
      tcp: standIn.tcp,
      udp: standIn.udp,
      network: networks.train,
      address: addresses.ray,
    }),
    listen("proof-peer", {
      container: containers.proofPeer,
      tcp: [peerPort],
      udp: [peerPort],
      network: networks.sandbox,
      address: addresses.peer,
    }),
  ];
  const proof = new EgressProof(
    "egress-proof",
    {
      host,
      isolation,
      network: networks.sandbox,
      proves: pulumi
        .all([networks.sandboxId, firewall.container.id, ...listeners.map(({ id }) => id)])
        .apply((ids) => [isolation.fingerprint, checked.network, ...ids].join(" ")),
      attempt: checked.attempt,
      labels,
    },
    { provider, dependsOn: [firewall, ...listeners] },
  );
  return {
    // Not the container itself, which is there whatever it found.
    before: [firewall, proof.passed],
    isolation: pulumi.interpolate`${proof.verdict}; the whole verdict: docker --host ${host.host} logs ${containers.proof}`,
  };
}

type ListenerPlace = Omit<ConstructorParameters<typeof ProofListener>[1], "image" | "labels">;
