import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../../plan/docker/index.ts";
import { daemonSocket } from "../../plan/verl/index.ts";
import type { Labels } from "../metadata.ts";
import { programDirectory } from "../runtime-program.ts";
import { containerBasis, memoryLimit } from "./container.ts";
import { dockerLabels } from "./metadata.ts";

export interface SandboxKeepersArgs {
  host: DockerHost;
  /** Image with Python. */
  image: pulumi.Input<string>;
  /** Image with the agent's runtime. */
  runtimeImage: pulumi.Input<string>;
  stack: string;
  labels: Labels;
}

/** What sandboxes need on their host: the agent's runtime, unpacked once; and a program that ends those that stay. */
export class SandboxKeepers extends pulumi.ComponentResource {
  public readonly agentRuntime: docker.Volume;
  public readonly reaper: docker.Container;

  constructor(name: string, args: SandboxKeepersArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:SandboxKeepers", name, args, opts);
    const { host, labels } = args;
    const { agentRuntime, containers } = host;
    const identity = { labels, app: "agent-runtime", component: "sandbox" };
    this.agentRuntime = new docker.Volume(
      `${name}-agent-runtime`,
      { name: agentRuntime.volume, labels: dockerLabels(identity) },
      { parent: this },
    );
    // Docker fills an empty volume with what the image has there, when the container is made: nothing runs.
    new docker.Container(
      `${name}-unpack`,
      {
        name: containers.agentRuntime,
        image: args.runtimeImage,
        entrypoints: ["/bin/true"],
        start: false,
        mustRun: false,
        restart: "no",
        networkMode: "none",
        labels: dockerLabels(identity),
        volumes: [{ volumeName: this.agentRuntime.name, containerPath: agentRuntime.path }],
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.reaper = new docker.Container(
      `${name}-reaper`,
      {
        ...containerBasis({
          name: containers.reaper,
          image: args.image,
          app: "reaper",
          component: "sandbox",
          labels,
          command: ["python3", "-u", `${programDirectory}/reap_docker_sandboxes.py`],
          environment: { DAEMON_SOCKET: daemonSocket, STACK: args.stack },
          secrets: {},
          program: "docker",
        }),
        // It speaks with the daemon alone.
        networkMode: "none",
        capabilities: { adds: ["CAP_DAC_OVERRIDE"], drops: ["ALL"] },
        ...memoryLimit(256 * 2 ** 20),
        volumes: [{ hostPath: host.socket, containerPath: daemonSocket, readOnly: false }],
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.registerOutputs({ reaper: this.reaper.name });
  }
}
