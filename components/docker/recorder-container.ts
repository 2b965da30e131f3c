import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Recorder } from "../../plan/serving/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import type { Names } from "../../plan/names.ts";
import type { WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import { discoveryVariables } from "../inference/discovery.ts";
import { programDirectory } from "../runtime-program.ts";
import { containerBasis, httpHealth, memoryLimit } from "./container.ts";

/** What reads or writes the records of a run's calls. */
export interface RecordsArgs {
  host: DockerHost;
  trainer: WithImage<Pick<Trainer, "image" | "rayNamespace" | "fingerprint">>;
  /** Directory of the trials, and the volume that holds it. */
  trials: string;
  mounts: docker.types.input.ContainerVolume[];
  labels: Labels;
  network: pulumi.Input<string>;
  jobsUrl: string;
  rayToken: pulumi.Output<string>;
  rolloutMinutes: number;
}

export interface RecorderContainerArgs extends RecordsArgs {
  names: Names;
  recorder: Recorder;
  rolloutServers: number;
}

const table = "/run/swe-rl/rollouts.json";

/** The recorder between LiteLLM and the rollout servers; healthy when every one of them is known. */
export class RecorderContainer extends pulumi.ComponentResource {
  public readonly container: docker.Container;

  constructor(name: string, args: RecorderContainerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:RecorderContainer", name, { recorder: args.recorder }, opts);
    const { names, recorder, trainer, rolloutMinutes } = args;
    const run = (program: string) => `python3 -u ${programDirectory}/${program}`;
    this.container = new docker.Container(
      name,
      {
        ...containerBasis({
          name: args.host.containers.recorder,
          image: trainer.image,
          app: "recorder",
          component: "proxy",
          labels: args.labels,
          command: ["sh", "-c", `${run("discover_rollouts.py")} && exec ${run("recorder.py")}`],
          environment: {
            ...discoveryVariables({ ...args, ...trainer, table }),
            RECORDER_PORT: String(recorder.port),
            TRAJECTORIES_DIRECTORY: args.trials,
            MOST_CALL_TOKENS: String(recorder.callTokens),
          },
          secrets: { RAY_AUTH_TOKEN: args.rayToken },
          program: "recorder",
        }),
        // The address that LiteLLM's configuration names on a cluster, too.
        networksAdvanced: [
          { name: args.network, aliases: [`${names.recorder}.${names.namespaces.train}`] },
        ],
        capabilities: { adds: ["CAP_DAC_OVERRIDE"], drops: ["ALL"] },
        ...memoryLimit(recorder.memoryBytes),
        tmpfs: { "/run/swe-rl": "" },
        volumes: args.mounts,
        stopTimeout: 45,
        destroyGraceSeconds: 45,
        healthcheck: httpHealth(`http://127.0.0.1:${recorder.port}/ready`, {
          startSeconds: rolloutMinutes * 60,
          retries: 3,
        }),
        wait: true,
        waitTimeout: rolloutMinutes * 60,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.registerOutputs({ container: this.container.name });
  }
}
