/** The experiment layer: everything about one run. One file `config/<stack>.yaml`, which may extend another. */
import { z } from "zod";
import { data, environment, infrastructure, k8s, model, vllm } from "./contract.ts";
import { harborAgent, harborRuntime } from "./harbor.ts";
import { proxy, ray, storage, trainer, verl } from "./platform.ts";
import { preflight } from "./preflight.ts";
import { credentials, experiment as run } from "./run.ts";
import { sandbox } from "./sandbox.ts";
import { serving } from "./serving.ts";
import { algorithm, asyncTraining, training } from "./training.ts";

export const tiers = ["single-node", "two-node", "three-node"] as const;
export type Tier = (typeof tiers)[number];

export const experiment = z.strictObject({
  tier: z
    .enum(tiers)
    .default("single-node")
    .describe(
      "Topology of the run: nodes of the trainer and of the rollout servers. The asynchronous tiers bring defaults of their own (`config/schema/tier-defaults.ts`).",
    ),
  smoke: z
    .boolean()
    .default(false)
    .describe(
      "Train on 8 × 4 = 32 trials a step, whatever the batch settings say. It shows that the plumbing works; its gradients mean nothing.",
    ),
  rehearsal: z
    .boolean()
    .default(false)
    .describe(
      "Do all that the run does on the cluster, but without a GPU at work: servers sample from random numbers, and the trainer counts steps. It shows that cluster, agents and tasks work together; nothing is trained, and its checkpoints lie apart.",
    ),
  model: model.describe("The policy."),
  data: data.describe("The tasks."),
  infrastructure: infrastructure.prefault({}).describe("Nodes, ports and logging."),
  environment: environment.prefault({}).describe("Python environment of the original system."),
  k8s: k8s.prefault({}).describe("Sandbox pods on Kubernetes."),
  vllm: vllm.prefault({}).describe("Rollout servers."),
  training: training.prefault({}).describe("Batches, window, parallelism, schedule."),
  async_training: asyncTraining
    .prefault({})
    .describe("Fully asynchronous training; without effect on the synchronous tier."),
  algorithm: algorithm.prefault({}).describe("Advantage estimator, loss and sampling."),
  harbor_agent: harborAgent.prefault({}).describe("Agent scaffold and its sandbox."),
  harbor_runtime: harborRuntime.prefault({}).describe("Workers and the tail killer."),
  experiment: run.prefault({}).describe("Names and directories of the run."),
  credentials: credentials.prefault({}).describe("Tracking."),
  verl: verl.prefault({}).describe("Which verl, and how."),
  trainer: trainer.prefault({}).describe("Training image and restarts."),
  ray: ray.prefault({}).describe("Ray cluster."),
  proxy: proxy.prefault({}).describe("LiteLLM."),
  sandbox: sandbox.prefault({}).describe("Bounds of the sandboxes, and what their pods may be."),
  storage: storage.prefault({}).describe("Volumes of the run."),
  serving: serving.describe(
    "Frozen models for evaluation or judging, served by plain vLLM on GPUs of their own. Weights are never synchronised to them.",
  ),
  preflight: preflight.prefault({}).describe("Checks before anything is created."),
  disruption: z
    .enum(["never", "voluntary"])
    .default("never")
    .describe(
      "Whether nodes may be drained under the run: `never` blocks it; `voluntary` allows it, and the run resumes from the newest checkpoint.",
    ),
});

export type Experiment = z.output<typeof experiment>;
