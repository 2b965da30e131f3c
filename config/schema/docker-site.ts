/** A site that is one GPU machine with Docker. */
import { z } from "zod";
import { defaultLiteLlm, tracking } from "./site.ts";
import { checkTraining, hostBuild } from "./image-build.ts";
import { isolation } from "./isolation.ts";
import { absolutePath, byteQuantity, count, image, port } from "./scalars.ts";

const namedVolume = z.strictObject({ kind: z.literal("volume") });
const hostDirectory = z.strictObject({
  kind: z.literal("host_path"),
  path: absolutePath().describe("Directory on the Docker host."),
});

const output = (purpose: string) =>
  z
    .discriminatedUnion("kind", [namedVolume, hostDirectory])
    .prefault({ kind: "volume" })
    .describe(purpose);

const mounted = {
  mount_path: absolutePath().describe("Where the training containers see it."),
};

const input = (purpose: string) =>
  z
    .discriminatedUnion("kind", [
      namedVolume.extend({
        ...mounted,
        volume: z.string().describe("Name of a Docker volume that is there already."),
      }),
      hostDirectory.extend(mounted),
    ])
    .describe(purpose);

const subnet = () =>
  z.string().regex(/^(\d{1,3}\.){3}0\/(1[6-9]|2[0-4])$/, {
    error: "must be an IPv4 network of 16 to 24 bits, for example 172.30.244.0/22",
  });

export const dockerSite = z.strictObject({
  kind: z.literal("docker").describe("What the site is."),
  docker: z
    .strictObject({
      host: z
        .string()
        .regex(/^(unix:\/\/\/\S+|tcp:\/\/(\[[0-9a-fA-F:]+\]|[^\s/:]+):\d{1,5})$/, {
          error:
            "must be unix:///path of the socket, or tcp://HOST:2376 with client certificates as stack secrets",
        })
        .default("unix:///var/run/docker.sock")
        .describe(
          "The daemon, as Pulumi reaches it. `tcp://HOST:2376` needs the stack secrets dockerCa, dockerCert and dockerKey.",
        ),
      socket: absolutePath()
        .default("/var/run/docker.sock")
        .describe(
          "The daemon's socket on its own host. The training container makes the sandboxes through it, which makes it as mighty as root there.",
        ),
    })
    .prefault({})
    .describe("The Docker daemon."),
  machine: z
    .strictObject({
      cpus: count().default(96).describe("CPUs that Ray may schedule."),
      memory: byteQuantity()
        .default("1400Gi")
        .describe("Memory limit of the training container; its /dev/shm counts into it."),
      open_files: count()
        .default(65_536)
        .describe("Files and sockets that one process of Ray may have open."),
      gpu_memory: byteQuantity()
        .optional()
        .describe(
          "Memory of one GPU, as nvidia-smi shows it: 140Gi of an H200, 79Gi of an H100. Omitted: unknown.",
        ),
      gpu_runtime: z
        .string()
        .default("nvidia")
        .describe("Container runtime of the daemon that brings the GPUs into a container."),
    })
    .prefault({})
    .describe("The machine."),
  images: z
    .strictObject({
      training: image()
        .optional()
        .describe(
          "Image with Ray, verl, vLLM, Harbor, the agent loops and the docker CLI with compose. Required unless `build` is there.",
        ),
      build: hostBuild(),
      litellm: image().default(defaultLiteLlm).describe("LiteLLM proxy image."),
    })
    .superRefine(checkTraining)
    .describe("Container images."),
  storage: z
    .strictObject({
      checkpoints: output("Where checkpoints live."),
      logs: output("Where logs live."),
      trials: output("Where trials and trajectories live."),
    })
    .prefault({})
    .describe("Backing of what a run writes. Volumes outlive `pulumi destroy`."),
  volumes: z
    .strictObject({
      models: input("Policy checkpoints to start from, mounted read-only."),
      data: input("Task indexes and task data, mounted read-only."),
    })
    .describe("Inputs of a run."),
  network: z
    .strictObject({
      interface: z.string().default("eth0").describe("Network interface of NCCL and Gloo (C-39)."),
      rollout_ports: z
        .strictObject({ from: port().describe("First port."), to: port().describe("Last port.") })
        .prefault({ from: 40000, to: 49999 })
        .describe("Range from which the training containers take their own ports."),
      train_subnet: subnet().default("172.30.240.0/24").describe("Training network."),
      sandbox_subnet: subnet()
        .default("172.30.244.0/22")
        .describe("Sandbox network; its upper half has an address for each sandbox at once."),
    })
    .prefault({})
    .describe("Networks that a stack makes."),
  isolation: isolation(),
  tracking: tracking(),
  timeouts: z
    .strictObject({
      rollout_minutes: count()
        .default(45)
        .describe("Minutes that `pulumi up` waits for the policy to be served."),
      deletion_seconds: count()
        .default(600)
        .describe("Seconds that the deletion of one object may take."),
    })
    .prefault({})
    .describe("Time limits."),
});

export type DockerSite = z.output<typeof dockerSite>;
