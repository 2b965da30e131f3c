import type { Basis } from "../host.ts";
import type { Engine, Topology } from "../run/index.ts";

/** Per node: weights and moments while they are offloaded, the reference, and the checkpoint as it is loaded. */
export function hostBytes(
  { experiment: { training, algorithm } }: Basis,
  run: { total: number; trainedModels: number; topology: Topology; engine: Engine },
): number {
  const { total, trainedModels, topology, engine } = run;
  const shards = engine.shardingSize === -1 ? topology.trainerGpus : engine.shardingSize;
  const ofNode = topology.gpusPerNode / shards;
  const offloaded = training.actor_offload ? 12 * trainedModels : 0;
  const reference =
    algorithm.use_kl_loss && (engine.name === "fsdp" || training.ref_offload) ? 4 : 0;
  return total * (offloaded + reference) * ofNode + total * 4;
}
