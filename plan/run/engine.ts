import type { Settings } from "../../config/load/load.ts";
import type { Experiment } from "../../config/schema/experiment.ts";
import { checkMesh, checkVeomni } from "./engine-limits.ts";
import type { Problems } from "../problems.ts";
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

export function planEngine(settings: Settings, topology: Topology, problems: Problems): Engine {
  const { training, verl } = settings.experiment;
  const name = verl.engine;
  const { trainerGpus: gpus } = topology;
  const isMegatron = name === "megatron";
  refuseForeignSizes(settings.experiment, problems);
  const size = (key: "sp_size" | "ep_size" | "tp_size" | "pp_size" | "cp_size") => {
    const value = training[key];
    problems.divides(
      "C-12",
      { path: ["training", key], divisor: value, value: gpus },
      `is ${value}, which does not divide the ${gpus} trainer GPUs: the device mesh cannot be built. Choose a divisor of ${gpus}.`,
    );
    return value;
  };
  const tensorParallel = isMegatron ? size("tp_size") : 1;
  const pipelineParallel = isMegatron ? size("pp_size") : 1;
  const sequenceParallel = size(isMegatron ? "cp_size" : "sp_size");
  const together = tensorParallel * pipelineParallel * sequenceParallel;
  if (isMegatron && gpus % together !== 0) {
    problems.error(
      "C-12",
      ["training", "tp_size"],
      `tp_size ${tensorParallel} × pp_size ${pipelineParallel} × cp_size ${sequenceParallel} = ${together} does not divide the ${gpus} trainer GPUs: the device mesh cannot be built.`,
    );
  }
  if (training.fsdp_size !== -1) {
    problems.divides(
      "C-12",
      { path: ["training", "fsdp_size"], divisor: training.fsdp_size, value: gpus },
      `is ${training.fsdp_size}, which does not divide the ${gpus} trainer GPUs: the device mesh cannot be built. Choose a divisor of ${gpus}, or -1 for all.`,
    );
  }
  checkMesh(settings, topology, problems);
  checkVeomni(settings, problems);
  checkMemory(settings, topology, problems);
  checkUlysses(settings, problems);
  return {
    name,
    sequenceParallel,
    expertParallel: name === "fsdp" ? 1 : size("ep_size"),
    tensorParallel,
    pipelineParallel,
    shardingSize: training.fsdp_size,
    dataParallel: gpus / together,
    routerReplay: planRouterReplay(settings, problems),
  };
}

/** Sizes that the engine would ignore. */
function refuseForeignSizes({ training, verl }: Experiment, problems: Problems): void {
  const foreign = {
    fsdp: ["ep_size", "tp_size", "pp_size", "cp_size"],
    veomni: ["tp_size", "pp_size", "cp_size"],
    megatron: ["sp_size"],
  } as const;
  for (const key of foreign[verl.engine]) {
    if (training[key] === 1) continue;
    const instead = key === "sp_size" ? "Set it to 1; Megatron has cp_size." : "Leave it at 1.";
    problems.error(
      "engine-settings",
      ["training", key],
      `is ${training[key]}, which the engine ${verl.engine} does not have. ${instead}`,
    );
  }
  if (verl.engine === "megatron" && training.fsdp_size !== -1) {
    problems.error(
      "engine-settings",
      ["training", "fsdp_size"],
      `is ${training.fsdp_size}, which the engine megatron does not have. Leave it at -1.`,
    );
  }
}

/** Window from which a 35B policy does not fit one trainer node (C-21), and the one that needs full sharding (C-17). */
const longWindow = 120_000;
const longestWindow = 131_072;

function checkMemory(settings: Settings, topology: Topology, problems: Problems): void {
  const { experiment, modelFacts } = settings;
  const { training, verl } = experiment;
  const window = training.max_prompt_length + training.max_response_length;
  if (
    (modelFacts?.billion_parameters ?? 0) >= 35 &&
    topology.trainerNodes === 1 &&
    window >= longWindow
  ) {
    problems.warn(
      "C-21",
      ["training", "max_response_length"],
      `gives a window of ${window} tokens for a 35B policy on one trainer node: seen to peak at 149 GB of 139.8. Use tier three-node (about 122 GB), or a response of at most 58304.`,
    );
  }
  if (verl.engine !== "fsdp" || topology.trainerNodes === 1 || window < longestWindow) return;
  if (training.fsdp_size !== -1 && training.fsdp_size !== topology.trainerGpus) {
    problems.warn(
      "C-17",
      ["training", "fsdp_size"],
      `is ${training.fsdp_size}, but the window of ${window} tokens fits only when parameters are sharded over all ${topology.trainerGpus} trainer GPUs. Set ${topology.trainerGpus}.`,
    );
  }
  if (!training.actor_offload) {
    problems.warn(
      "C-17",
      ["training", "actor_offload"],
      `is false, but the window of ${window} tokens fits only with the optimizer in host memory. Set it to true.`,
    );
  }
}

function checkUlysses({ experiment, modelFacts }: Settings, problems: Problems): void {
  const { training, verl } = experiment;
  if (verl.engine === "megatron" || training.sp_size === 1 || modelFacts?.ulysses !== false) return;
  const message = `is ${training.sp_size}, but this model mixes attention kinds, of which Ulysses corrupts one. Set it to 1.`;
  if (verl.engine === "fsdp") problems.error("C-13", ["training", "sp_size"], message);
  else problems.warn("C-13", ["training", "sp_size"], message);
}

/** Which replay the run can have, or why not the one that was asked for (C-15). */
function planRouterReplay(settings: Settings, problems: Problems): RouterReplay {
  const { experiment, modelFacts } = settings;
  const { router_replay: wanted } = experiment.verl;
  const obstacle = replayObstacle(settings);
  if (wanted === undefined) return obstacle === undefined ? "R3" : "disabled";
  const path = ["verl", "router_replay"];
  if (wanted !== "disabled" && obstacle !== undefined) {
    problems.error("C-15", path, `is ${wanted}, but ${obstacle}. Leave it out.`);
  } else if (wanted === "R2" && experiment.tier !== "single-node") {
    problems.error(
      "C-15",
      path,
      "is R2, which replays what the trainer chose; in asynchronous training the choices to replay are the rollout's. Use R3.",
    );
  } else if (wanted === "disabled" && modelFacts?.mixture_of_experts && obstacle === undefined) {
    problems.warn(
      "C-15",
      path,
      "is disabled for a mixture-of-experts model: rollout and trainer agree on about 24 % of the expert choices, and log-probabilities drift apart.",
    );
  }
  return wanted;
}

function replayObstacle({ experiment, modelFacts }: Settings): string | undefined {
  const { verl, training } = experiment;
  if (!modelFacts) return "config/models.yaml does not know whether the model has experts";
  if (!modelFacts.mixture_of_experts) return "the model has no experts";
  if (verl.engine !== "fsdp") return undefined;
  if (verl.distribution === "stock") return "stock verl has no replay for the engine fsdp";
  return training.sp_size === 1 ? undefined : "on the engine fsdp replay needs sp_size 1";
}
