import type { Basis } from "../host.ts";
import type { Engine, Topology } from "../run/index.ts";

/**
 * Per node: weights and moments while they are offloaded, the reference, the checkpoint as it is loaded, and what the
 * GPUs' micro-batches offload (`offloaded`, of one GPU).
 */
export function hostBytes(
  { experiment: { training } }: Basis,
  run: {
    total: number;
    restingBytes: number;
    hasReference: boolean;
    topology: Topology;
    engine: Engine;
    offloaded: number;
  },
): number {
  const { total, topology, engine } = run;
  const shards = engine.shardingSize === -1 ? topology.trainerGpus : engine.shardingSize;
  const ofNode = topology.gpusPerNode / shards;
  const resting = training.actor_offload ? run.restingBytes : 0;
  const reference =
    run.hasReference && (engine.name === "fsdp" || training.ref_offload) ? 4 * total : 0;
  return (resting + reference) * ofNode + total * 4 + run.offloaded * topology.gpusPerNode;
}
