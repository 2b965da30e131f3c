import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Labels } from "../metadata.ts";
import { programDirectory } from "../runtime-program.ts";
import { containerBasis, memoryLimit } from "./container.ts";

export interface SandboxFirewallArgs {
  host: DockerHost;
  /** Image with Python. */
  image: pulumi.Input<string>;
  /** Port of the proxy. */
  allowedPort: number;
  labels: Labels;
}

/** Written whenever the table is in force. */
const status = "/run/swe-rl-firewall";

/** Keeps sandboxes apart from each other and from the host: see `runtime/docker/sandbox_firewall.py`. */
export class SandboxFirewall extends pulumi.ComponentResource {
  public readonly container: docker.Container;

  constructor(name: string, args: SandboxFirewallArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:SandboxFirewall", name, args, opts);
    const { host, image, labels, allowedPort } = args;
    const { addresses, containers, firewallTable, networks } = host;
    const fresh = `import os, time; raise SystemExit(time.time() - os.stat("${status}").st_mtime > 30)`;
    this.container = new docker.Container(
      name,
      {
        ...containerBasis({
          name: containers.firewall,
          image,
          app: "sandbox-firewall",
          component: "sandbox",
          labels,
          command: ["python3", "-u", `${programDirectory}/sandbox_firewall.py`],
          environment: {
            TABLE: firewallTable,
            SUBNET: networks.sandbox.subnet,
            ALLOWED_TARGETS: `${addresses.proxy},${addresses.allowedTarget}`,
            ALLOWED_PORT: String(allowedPort),
            STATUS: status,
          },
          secrets: {},
          program: "docker",
        }),
        // The bridge is the host's. Nothing listens here, and of the host's powers it has this one.
        networkMode: "host",
        usernsMode: "host",
        capabilities: { adds: ["CAP_NET_ADMIN"], drops: ["ALL"] },
        ...memoryLimit(128 * 2 ** 20),
        // Not awaited: the egress proof says more about a firewall that fails than its health does.
        healthcheck: {
          tests: ["CMD", "python3", "-c", fresh],
          interval: "10s",
          timeout: "5s",
          startPeriod: "10s",
          retries: 3,
        },
        // Time to take the table away again.
        destroyGraceSeconds: 10,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.registerOutputs({ container: this.container.name });
  }
}
