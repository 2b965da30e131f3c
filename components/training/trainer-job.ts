import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Names } from "../../plan/names.ts";
import { roleLabel } from "../../plan/network/index.ts";
import type { Directories } from "../../plan/storage/index.ts";
import type { Trainer } from "../../plan/verl/index.ts";
import { type Labels, labelsOf, leaf, owner } from "../metadata.ts";
import { type Nodes, podBasis, resourcesOf } from "../pod.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";

export interface TrainerJobArgs {
  names: Names;
  trainer: Trainer;
  directories: Directories;
  /** Where the follower runs: on the nodes of the head, which have the image. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Address of Ray's job API. */
  jobsUrl: pulumi.Input<string>;
  rayToken: SecretKey;
  serviceAccount: pulumi.Input<string>;
  /** Seconds that the follower waits for the head. */
  headTimeoutSeconds: number;
}

/** Where the run's specification is mounted. */
const specDirectory = "/etc/swe-rl";

/** Exit codes of the follower after which another pod would only fail again: see `runtime/trainer/submit_run.py`. */
const finalFailures = [2, 3, 4, 5];

/** The job that submits the run to Ray and follows it. Not awaited: a run takes days. */
export class TrainerJob extends pulumi.ComponentResource {
  constructor(name: string, args: TrainerJobArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:training:TrainerJob", name, args, opts);
    const { names, trainer, directories } = args;
    const identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: "trainer",
      component: "training",
    };
    const specification = new k8s.core.v1.ConfigMap(
      `${name}-specification`,
      {
        metadata: leaf({ ...identity, app: "run-specification" }),
        immutable: true,
        data: {
          "run.json": JSON.stringify({
            name: names.stack,
            fingerprint: trainer.fingerprint,
            argv: trainer.argv,
            workingDirectory: trainer.workingDirectory,
            trainingLog: directories.trainingLog,
            vllmLog: directories.vllmLog,
            maxRestarts: trainer.maxRestarts,
          }),
        },
      },
      { parent: this },
    );
    const followerPrograms = programs(
      `${name}-programs`,
      {
        identity: { ...identity, app: "trainer-programs" },
        program: "trainer",
      },
      { parent: this },
    );
    new k8s.batch.v1.Job(
      name,
      {
        metadata: owner(identity, names.trainerJob, {
          annotations: { "pulumi.com/skipAwait": "true" },
        }),
        spec: {
          backoffLimit: 6,
          podFailurePolicy: {
            rules: [
              {
                action: "FailJob",
                onExitCodes: { operator: "In", values: finalFailures, containerName: "follower" },
              },
              // A drained or preempted follower only has to attach again.
              {
                action: "Ignore",
                onPodConditions: [{ type: "DisruptionTarget", status: "True" }],
              },
            ],
          },
          template: {
            metadata: {
              labels: { ...labelsOf(identity), [roleLabel]: "trainer" },
              annotations: { "swe-rl.dev/run": trainer.fingerprint },
            },
            spec: {
              restartPolicy: "Never",
              automountServiceAccountToken: false,
              ...podBasis(args.nodes, args.serviceAccount),
              securityContext: { seccompProfile: { type: "RuntimeDefault" } },
              containers: [
                {
                  name: "follower",
                  image: trainer.image,
                  command: ["python3", "-u", `${programDirectory}/submit_run.py`],
                  securityContext: {
                    allowPrivilegeEscalation: false,
                    capabilities: { drop: ["ALL"] },
                  },
                  env: [
                    { name: "RAY_JOBS_URL", value: args.jobsUrl },
                    fromSecret("RAY_AUTH_TOKEN", args.rayToken),
                    { name: "RUN_SPEC", value: `${specDirectory}/run.json` },
                    { name: "LAUNCH_PROGRAM", value: `${programDirectory}/launch_run.py` },
                    {
                      name: "RUN_OWNER",
                      valueFrom: {
                        fieldRef: {
                          fieldPath: "metadata.labels['batch.kubernetes.io/controller-uid']",
                        },
                      },
                    },
                    { name: "HEAD_TIMEOUT_SECONDS", value: String(args.headTimeoutSeconds) },
                  ],
                  resources: resourcesOf(trainer.submitterRequests),
                  volumeMounts: [
                    { name: "specification", mountPath: specDirectory, readOnly: true },
                    { name: "programs", mountPath: programDirectory, readOnly: true },
                  ],
                },
              ],
              volumes: [
                { name: "specification", configMap: { name: specification.metadata.name } },
                { name: "programs", configMap: { name: followerPrograms } },
              ],
            },
          },
        },
      },
      // A Job cannot be changed, and two followers of different runs must not be there at once.
      {
        parent: this,
        deleteBeforeReplace: true,
        replaceOnChanges: ["spec.template"],
      },
    );
    this.registerOutputs();
  }
}
