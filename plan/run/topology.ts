import type { Settings } from "../../config/load/load.ts";
import type { Tier } from "../../config/schema/experiment.ts";
import { canShareKvHeads } from "./kv-heads.ts";
import type { Problems } from "../problems.ts";

/** A Ray worker group: nodes with the same role. */
export interface WorkerGroup {
  readonly name: "train" | "rollout";
  readonly nodes: number;
  readonly gpusPerNode: number;
}

/** Who runs on which GPUs. */
export interface Topology {
  readonly tier: Tier;
  /** `sync`: trainer and rollout servers take turns on the same GPUs. `async`: each has its own, and a queue lies between. */
  readonly mode: "sync" | "async";
  readonly groups: readonly WorkerGroup[];
  readonly gpuNodes: number;
  readonly gpusPerNode: number;
  readonly trainerNodes: number;
  readonly trainerGpus: number;
  /** Nodes of the rollout servers alone; 0 where they share the trainer's. */
  readonly rolloutNodes: number;
  readonly rolloutGpus: number;
  /** GPUs of one rollout server. */
  readonly tensorParallel: number;
  /** Rollout servers: rollout GPUs / tensor parallel. Discovery waits for exactly this many. */
  readonly rolloutServers: number;
}

/** Nodes of each tier by role. No rollout nodes: the trainer's do both jobs. */
const nodesOfTier: Record<Tier, { readonly trainer: number; readonly rollout: number }> = {
  "single-node": { trainer: 1, rollout: 0 },
  "two-node": { trainer: 1, rollout: 1 },
  "three-node": { trainer: 2, rollout: 1 },
};

export function planTopology(settings: Settings, problems: Problems): Topology {
  const { tier, infrastructure, vllm } = settings.experiment;
  const { trainer, rollout } = nodesOfTier[tier];
  const gpuNodes = trainer + rollout;
  const gpusPerNode = infrastructure.ngpus_per_node;
  const mode = rollout === 0 ? "sync" : "async";
  const trainerGpus = trainer * gpusPerNode;
  const rolloutGpus = mode === "sync" ? trainerGpus : rollout * gpusPerNode;
  if (infrastructure.nnodes !== undefined && infrastructure.nnodes !== gpuNodes) {
    const split = mode === "sync" ? "" : `: ${trainer} of the trainer, ${rollout} of the rollout`;
    problems.error(
      "C-11",
      ["infrastructure", "nnodes"],
      `is ${infrastructure.nnodes}, but tier ${tier} has ${gpuNodes}${split}. Leave it out, or choose another tier.`,
    );
  }
  problems.divides(
    "C-02",
    { path: ["vllm", "gen_tp"], divisor: vllm.gen_tp, value: rolloutGpus },
    `is ${vllm.gen_tp}, which does not divide the ${rolloutGpus} rollout GPUs: ${rolloutGpus / vllm.gen_tp} rollout servers. Choose a divisor of ${rolloutGpus}.`,
  );
  checkKvHeads(settings, problems);
  const groups: WorkerGroup[] = [{ name: "train", nodes: trainer, gpusPerNode }];
  if (rollout > 0) groups.push({ name: "rollout", nodes: rollout, gpusPerNode });
  return {
    tier,
    mode,
    groups,
    gpuNodes,
    gpusPerNode,
    trainerNodes: trainer,
    trainerGpus,
    rolloutNodes: rollout,
    rolloutGpus,
    tensorParallel: vllm.gen_tp,
    rolloutServers: rolloutGpus / vllm.gen_tp,
  };
}

function checkKvHeads({ experiment, modelFacts }: Settings, problems: Problems): void {
  const { gen_tp: tensorParallel } = experiment.vllm;
  if (modelFacts?.kv_heads === undefined) {
    const missing = modelFacts
      ? "has no kv_heads in config/models.yaml"
      : "is not in config/models.yaml";
    problems.unknown(
      "C-01",
      ["model", "model_path"],
      `${missing}, so it is unknown whether vllm.gen_tp ${tensorParallel} divides its KV heads. Name its config.json with model.config_file, or add num_key_value_heads there.`,
    );
    return;
  }
  if (canShareKvHeads(modelFacts, modelFacts.kv_heads, tensorParallel)) return;
  problems.error(
    "C-01",
    ["vllm", "gen_tp"],
    `is ${tensorParallel}, which does not divide the model's ${modelFacts.kv_heads} KV heads: training would crash with a CUDA illegal memory access at the first forward pass. Choose a divisor of ${modelFacts.kv_heads}.`,
  );
}
