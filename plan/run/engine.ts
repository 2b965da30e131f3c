import type { Basis } from "../host.ts";
import type { Experiment } from "../../config/schema/experiment.ts";
import type { Topology } from "./topology.ts";

/** Replay of the rollout's expert choices in training. */
export type RouterReplay = "disabled" | "R2" | "R3";

/** How the trainer spreads the policy over its GPUs. */
export interface Engine {
  readonly name: Experiment["verl"]["engine"];
  /** GPUs that share one sequence: Ulysses, or Megatron's context parallelism. */
  readonly sequenceParallel: number;
  readonly expertParallel: number;
  /** Megatron only. */
  readonly tensorParallel: number;
  readonly pipelineParallel: number;
  /** GPUs over which parameters are sharded; -1 all. Not Megatron's. */
  readonly shardingSize: number;
  /** Copies of the model that see different sequences. */
  readonly dataParallel: number;
  readonly routerReplay: RouterReplay;
}

export function planEngine(settings: Basis, { trainerGpus }: Topology): Engine {
  const { training, verl } = settings.experiment;
  const isMegatron = verl.engine === "megatron";
  const tensorParallel = isMegatron ? training.tp_size : 1;
  const pipelineParallel = isMegatron ? training.pp_size : 1;
  const sequenceParallel = isMegatron ? training.cp_size : training.sp_size;
  return {
    name: verl.engine,
    sequenceParallel,
    expertParallel: verl.engine === "fsdp" ? 1 : training.ep_size,
    tensorParallel,
    pipelineParallel,
    shardingSize: training.fsdp_size,
    dataParallel: trainerGpus / (tensorParallel * pipelineParallel * sequenceParallel),
    routerReplay:
      verl.router_replay ?? (replayObstacle(settings) === undefined ? "R3" : "disabled"),
  };
}

/** Why the run cannot replay the rollout's choice of experts. */
export interface ReplayObstacle {
  readonly reason: string;
  /** The setting that is in the way. */
  readonly path: readonly string[];
  readonly remedy: string;
}

/** undefined: it can. */
export function replayObstacle({
  experiment,
  modelFacts,
}: Pick<Basis, "experiment" | "modelFacts">): ReplayObstacle | undefined {
  const { verl, training } = experiment;
  if (!modelFacts?.mixture_of_experts) {
    const reason = modelFacts
      ? "the model has no experts"
      : "config/models.yaml does not know whether the model has experts";
    return { reason, path: ["model", "model_path"], remedy: "leave verl.router_replay out" };
  }
  if (verl.engine !== "fsdp") return undefined;
  if (verl.distribution === "stock") {
    return {
      reason: "stock verl has no replay for the engine fsdp",
      path: ["verl", "distribution"],
      remedy:
        "use the engine megatron or veomni, or verl.distribution fork with training.sp_size 1",
    };
  }
  if (training.sp_size === 1) return undefined;
  return {
    reason: "on the engine fsdp replay needs sp_size 1",
    path: ["training", "sp_size"],
    remedy: "set training.sp_size to 1 where the window fits, or use the engine veomni or megatron",
  };
}
