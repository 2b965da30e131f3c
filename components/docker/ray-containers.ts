import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Ray, RayPod } from "../../plan/ray/index.ts";
import { type EnvironmentVariable, daemonSocket } from "../../plan/verl/index.ts";
import type { Names } from "../../plan/names.ts";
import type { ResolveImage, WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import { type Basis, containerBasis, httpHealth, megabytes, memoryLimit } from "./container.ts";
import { sandboxFiles } from "./sandbox-files.ts";

export interface RayContainersArgs {
  names: Names;
  host: DockerHost;
  ray: WithImage<Ray>;
  labels: Labels;
  network: pulumi.Input<string>;
  mounts: docker.types.input.ContainerVolume[];
  environment: readonly EnvironmentVariable[];
  /** Where a variable names an image. */
  image: ResolveImage;
  /** Address of LiteLLM for the sandboxes. */
  proxyUrl: string;
  rayToken: pulumi.Output<string>;
  /** Secrets that training containers get as variables. */
  secrets: Readonly<Record<string, pulumi.Output<string> | undefined>>;
  sandboxes: { readonly deadlineSeconds: number; readonly memoryLimitBytes: number };
  startupMinutes: number;
}

/** Dashboard agent of a raylet, which tells whether it is well. */
const agentPort = 52365;

/** Ray on one host: a head without GPUs, and one worker with all of them. */
export class RayContainers extends pulumi.ComponentResource {
  /** Address of the job API inside the training network: the same as on a cluster. */
  public readonly jobsUrl: string;
  public readonly head: docker.Container;
  public readonly worker: docker.Container;

  constructor(name: string, args: RayContainersArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:RayContainers", name, { ray: args.ray, names: args.names }, opts);
    const { names, host, ray } = args;
    const [group] = ray.groups;
    if (!group) throw new Error("the Plan has no Ray workers");
    const headAddress = `${names.rayHeadService}.${names.namespaces.train}`;
    this.jobsUrl = `http://${headAddress}:${ray.ports.dashboard}`;
    this.head = new docker.Container(
      name,
      {
        ...rayContainer(args, ray.head, {
          name: host.containers.head,
          component: "ray-head",
          options: [
            "--head",
            `--port=${ray.ports.gcs}`,
            "--dashboard-host=0.0.0.0",
            `--dashboard-port=${ray.ports.dashboard}`,
          ],
          program: "ray_head",
        }),
        networksAdvanced: [{ name: args.network, aliases: [headAddress] }],
        // The dashboard serves users of the host, and asks for the token.
        ports: [{ internal: ray.ports.dashboard, external: ray.ports.dashboard, ip: "127.0.0.1" }],
        healthcheck: httpHealth(`http://127.0.0.1:${ray.ports.dashboard}/api/gcs_healthz`, {
          startSeconds: 120,
          retries: 24,
        }),
        wait: true,
        waitTimeout: args.startupMinutes * 60,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.worker = this.#worker(`${name}-worker`, args, { group, headAddress });
    this.registerOutputs({ jobsUrl: this.jobsUrl });
  }

  #worker(
    name: string,
    args: RayContainersArgs,
    { group, headAddress }: { group: RayPod; headAddress: string },
  ): docker.Container {
    const { names, host, ray } = args;
    const sandbox = sandboxFiles(host, { stack: names.stack, ...args.sandboxes });
    const worker = rayContainer(args, group, {
      name: host.containers.worker,
      component: "ray-worker",
      options: [`--address=${headAddress}:${ray.ports.gcs}`],
      program: "ray_head",
      files: sandbox.files,
      environment: {
        ...sandbox.environment,
        // The GPU runtime reads these.
        NVIDIA_VISIBLE_DEVICES: "all",
        NVIDIA_DRIVER_CAPABILITIES: "compute,utility",
        RAY_memory_monitor_refresh_ms: "0",
      },
    });
    return new docker.Container(
      name,
      {
        ...worker,
        runtime: host.gpuRuntime,
        networksAdvanced: [{ name: args.network }],
        volumes: [
          ...args.mounts,
          // The agent loops make the sandboxes.
          { hostPath: host.socket, containerPath: daemonSocket, readOnly: false },
        ],
        healthcheck: httpHealth(`http://127.0.0.1:${agentPort}/api/local_raylet_healthz`, {
          startSeconds: 120,
          retries: 24,
        }),
        wait: true,
        waitTimeout: args.startupMinutes * 60,
      },
      { parent: this, dependsOn: [this.head], deleteBeforeReplace: true },
    );
  }
}

interface Role extends Pick<Basis, "name" | "component" | "program" | "files"> {
  readonly options: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

function rayContainer(args: RayContainersArgs, pod: RayPod, role: Role): docker.ContainerArgs {
  const { from, to } = args.ray.ports.ephemeral;
  const { plain, secrets } = environmentOf(args);
  return {
    ...containerBasis({
      ...role,
      image: args.ray.image,
      app: "ray",
      labels: args.labels,
      command: [
        "ray",
        "start",
        "--block",
        `--num-cpus=${pod.schedulableCpus}`,
        `--num-gpus=${pod.gpus}`,
        `--object-store-memory=${pod.objectStoreBytes}`,
        ...role.options,
      ],
      environment: { ...plain, RAY_AUTH_MODE: "token", ...role.environment },
      secrets: { ...secrets, RAY_AUTH_TOKEN: args.rayToken },
    }),
    ...memoryLimit(pod.memoryBytes),
    shmSize: megabytes(pod.sharedMemoryBytes),
    // GPU drivers and RDMA pin memory: with this, the limit of locked memory does not count.
    capabilities: { adds: ["CAP_IPC_LOCK"] },
    ulimits: [
      { name: "nofile", soft: args.host.openFiles, hard: args.host.openFiles },
      { name: "stack", soft: 67108864, hard: 67108864 },
    ],
    sysctls: { "net.ipv4.ip_local_port_range": `${from} ${to}` },
    volumes: args.mounts,
    stopTimeout: 60,
    destroyGraceSeconds: 60,
  };
}

/** The Plan's variables, apart by whether `docker inspect` may show them. */
function environmentOf({ environment, image, secrets, proxyUrl }: RayContainersArgs) {
  const plain: Record<string, pulumi.Input<string>> = {};
  const hidden: Record<string, pulumi.Output<string>> = {};
  for (const variable of environment) {
    if ("value" in variable) plain[variable.name] = image(variable.value);
    else if ("deferred" in variable) plain[variable.name] = proxyUrl + (variable.suffix ?? "");
    else {
      const secret = secrets[variable.secret];
      if (secret) hidden[variable.name] = secret;
    }
  }
  return { plain, secrets: hidden };
}
