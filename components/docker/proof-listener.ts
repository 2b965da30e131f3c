import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { Labels } from "../metadata.ts";
import { programDirectory } from "../runtime-program.ts";
import { containerBasis, memoryLimit, tcpHealth } from "./container.ts";

export interface ProofListenerArgs {
  container: string;
  /** Image with Python. */
  image: pulumi.Input<string>;
  tcp: readonly number[];
  udp: readonly number[];
  network: pulumi.Input<string>;
  address: string;
  labels: Labels;
}

/** A container that listens and does nothing else, to be reached or not by the egress proof. */
export class ProofListener extends pulumi.ComponentResource {
  public readonly id: pulumi.Output<string>;

  constructor(name: string, args: ProofListenerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:ProofListener", name, args, opts);
    const { tcp, udp } = args;
    this.id = new docker.Container(
      name,
      {
        ...containerBasis({
          name: args.container,
          image: args.image,
          app: "proof-listener",
          component: "sandbox",
          labels: args.labels,
          command: ["python3", "-u", `${programDirectory}/proof_listener.py`],
          environment: { LISTEN_TCP: tcp.join(","), LISTEN_UDP: udp.join(",") },
          secrets: {},
          program: "egress_proof",
        }),
        networksAdvanced: [{ name: args.network, ipv4Address: args.address }],
        capabilities: { drops: ["ALL"] },
        ...memoryLimit(128 * 2 ** 20),
        healthcheck: tcpHealth(tcp[0] ?? 0),
        wait: true,
        waitTimeout: 120,
      },
      { parent: this, deleteBeforeReplace: true },
    ).id;
    this.registerOutputs({ id: this.id });
  }
}
