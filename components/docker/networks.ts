import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost, DockerNetwork } from "../../plan/docker/index.ts";
import type { Labels } from "../metadata.ts";
import { dockerLabels } from "./metadata.ts";

export interface NetworksArgs {
  networks: DockerHost["networks"];
  labels: Labels;
  /** The daemon's address and its identity, by which the state tells it from others. */
  daemon: { host: string; identity: string | undefined };
}

/** The training network, and the sandboxes' own. */
export class Networks extends pulumi.ComponentResource {
  public readonly train: pulumi.Output<string>;
  public readonly sandbox: pulumi.Output<string>;
  /** Changes when the sandbox network is made anew. */
  public readonly sandboxId: pulumi.Output<string>;

  constructor(name: string, args: NetworksArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:Networks", name, args, opts);
    const { train, sandbox } = args.networks;
    const labels = (component: string) =>
      dockerLabels({ labels: args.labels, app: "network", component });
    this.train = new docker.Network(
      `${name}-train`,
      {
        name: train.name,
        driver: "bridge",
        ipamConfigs: [ipam(train)],
        labels: labels("training"),
      },
      // Its name and addresses are fixed, so that no second one can be there at once.
      { parent: this, deleteBeforeReplace: true },
    ).name;
    const sandboxNetwork = new docker.Network(
      `${name}-sandbox`,
      {
        name: sandbox.name,
        driver: "bridge",
        // No route leads out of it. Its gateway would still be an address of the host, and answer: so the bridge gets none.
        internal: true,
        options: { "com.docker.network.bridge.inhibit_ipv4": "true" },
        ipamConfigs: [ipam(sandbox)],
        labels: labels("sandbox"),
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.sandbox = sandboxNetwork.name;
    this.sandboxId = sandboxNetwork.id;
    const { host, identity } = args.daemon;
    this.registerOutputs({ train: this.train, sandbox: this.sandbox, host, daemon: identity });
  }
}

function ipam({ subnet, gateway, range }: DockerNetwork): docker.types.input.NetworkIpamConfig {
  return { subnet, gateway, ipRange: range };
}
