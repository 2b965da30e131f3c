import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { Directories } from "../../plan/storage/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import type { Names } from "../../plan/names.ts";
import type { WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import { programDirectory } from "../runtime-program.ts";
import { runSpecification } from "../training/run-specification.ts";
import { containerBasis, memoryLimit } from "./container.ts";

export interface TrainerContainerArgs {
  names: Names;
  host: DockerHost;
  trainer: WithImage<Trainer>;
  directories: Directories;
  labels: Labels;
  network: pulumi.Input<string>;
  jobsUrl: string;
  rayToken: pulumi.Output<string>;
  headTimeoutSeconds: number;
}

const specification = "/etc/swe-rl/run.json";

/** The container that submits the run to Ray and follows it. Not awaited: a run takes days. */
export class TrainerContainer extends pulumi.ComponentResource {
  public readonly container: docker.Container;

  constructor(name: string, args: TrainerContainerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:TrainerContainer", name, { trainer: args.trainer }, opts);
    const { trainer } = args;
    this.container = new docker.Container(
      name,
      {
        ...containerBasis({
          name: args.host.containers.trainer,
          image: trainer.image,
          app: "trainer",
          component: "training",
          labels: args.labels,
          command: ["python3", "-u", `${programDirectory}/submit_run.py`],
          environment: {
            RAY_JOBS_URL: args.jobsUrl,
            RUN_SPEC: specification,
            LAUNCH_PROGRAM: `${programDirectory}/launch_run.py`,
            RUN_OWNER: trainer.fingerprint,
            HEAD_TIMEOUT_SECONDS: String(args.headTimeoutSeconds),
          },
          secrets: { RAY_AUTH_TOKEN: args.rayToken },
          program: "trainer",
          files: {
            [specification]: runSpecification(args),
          },
        }),
        networksAdvanced: [{ name: args.network }],
        capabilities: { drops: ["ALL"] },
        ...memoryLimit(512 * 2 ** 20),
        // It ends with the run, and must not begin again: a submitter that was cut off only has to attach.
        restart: "on-failure",
        maxRetryCount: 6,
        mustRun: false,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.registerOutputs({ container: this.container.name });
  }
}
