import type { Basis } from "../host.ts";
import type { Tier } from "../../config/schema/experiment.ts";

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
  /** Rollout servers: rollout GPUs / tensor parallel, which leaves no remainder (C-02). Discovery waits for exactly this many. */
  readonly rolloutServers: number;
}

/** Nodes of each tier by role. No rollout nodes: the trainer's do both jobs. */
export const nodesOfTier: Readonly<
  Record<Tier, { readonly trainer: number; readonly rollout: number }>
> = {
  "single-node": { trainer: 1, rollout: 0 },
  "two-node": { trainer: 1, rollout: 1 },
  "three-node": { trainer: 2, rollout: 1 },
};

export function planTopology(settings: Basis): Topology {
  const { tier, infrastructure, vllm } = settings.experiment;
  const own = nodesOfTier[tier];
  const mode = own.rollout === 0 ? "sync" : "async";
  const trainer = infrastructure.trainer_nodes ?? own.trainer;
  const rollout = mode === "sync" ? 0 : (infrastructure.rollout_nodes ?? own.rollout);
  const gpuNodes = trainer + rollout;
  const gpusPerNode = infrastructure.ngpus_per_node;
  const trainerGpus = trainer * gpusPerNode;
  const rolloutGpus = mode === "sync" ? trainerGpus : rollout * gpusPerNode;
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
    rolloutServers: Math.floor(rolloutGpus / vllm.gen_tp),
  };
}
