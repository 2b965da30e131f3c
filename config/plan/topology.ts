import type { Settings } from "../load.ts";
import type { Tier } from "../schema/experiment.ts";
import type { Problems } from "./problems.ts";

/** A Ray worker group: nodes with the same role. */
export interface WorkerGroup {
  readonly name: "train";
  readonly nodes: number;
  readonly gpusPerNode: number;
}

/** Who runs on which GPUs. */
export interface Topology {
  readonly tier: Tier;
  /** `sync`: trainer and rollout servers take turns on the same GPUs. */
  readonly mode: "sync";
  readonly groups: readonly WorkerGroup[];
  readonly gpuNodes: number;
  readonly gpusPerNode: number;
  readonly trainerGpus: number;
  readonly rolloutGpus: number;
  /** GPUs of one rollout server. */
  readonly tensorParallel: number;
  /** Rollout servers: rollout GPUs / tensor parallel. Discovery waits for exactly this many. */
  readonly rolloutServers: number;
  /** GPUs that share one sequence in training (Ulysses). */
  readonly sequenceParallel: number;
}

/** Nodes of each tier. The synchronous tier has one group, whose GPUs do both jobs. */
const nodesOfTier: Record<Tier, number> = { "single-node": 1 };

export function planTopology(settings: Settings, problems: Problems): Topology {
  const { tier, infrastructure, vllm, training } = settings.experiment;
  const gpuNodes = nodesOfTier[tier];
  const gpusPerNode = infrastructure.ngpus_per_node;
  const gpus = gpuNodes * gpusPerNode;
  if (infrastructure.nnodes !== undefined && infrastructure.nnodes !== gpuNodes) {
    problems.error(
      ["infrastructure", "nnodes"],
      `is ${infrastructure.nnodes}, but tier ${tier} has ${gpuNodes}. Leave it out, or choose another tier.`,
    );
  }
  problems.divides(
    ["vllm", "gen_tp"],
    [vllm.gen_tp, gpus],
    `is ${vllm.gen_tp}, which does not divide the ${gpus} rollout GPUs: ${gpus / vllm.gen_tp} rollout servers (C-02). Choose a divisor of ${gpus}.`,
  );
  checkKvHeads(settings, problems);
  problems.divides(
    ["training", "sp_size"],
    [training.sp_size, gpus],
    `is ${training.sp_size}, which does not divide the ${gpus} trainer GPUs: the device mesh cannot be built (C-12). Choose a divisor of ${gpus}.`,
  );
  return {
    tier,
    mode: "sync",
    groups: [{ name: "train", nodes: gpuNodes, gpusPerNode }],
    gpuNodes,
    gpusPerNode,
    trainerGpus: gpus,
    rolloutGpus: gpus,
    tensorParallel: vllm.gen_tp,
    rolloutServers: gpus / vllm.gen_tp,
    sequenceParallel: training.sp_size,
  };
}

function checkKvHeads({ experiment, modelFacts }: Settings, problems: Problems): void {
  const { gen_tp: tensorParallel } = experiment.vllm;
  if (!modelFacts) {
    problems.warn(
      ["model", "model_path"],
      `is not in config/models.yaml, so it is unknown whether vllm.gen_tp ${tensorParallel} divides its KV heads (C-01). Add the model there.`,
    );
    return;
  }
  problems.divides(
    ["vllm", "gen_tp"],
    [tensorParallel, modelFacts.kv_heads],
    `is ${tensorParallel}, which does not divide the model's ${modelFacts.kv_heads} KV heads: training would crash with a CUDA illegal memory access at the first forward pass (C-01). Choose a divisor of ${modelFacts.kv_heads}.`,
  );
}
