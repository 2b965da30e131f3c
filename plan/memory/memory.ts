/** Peak GPU memory of every role of a run, and what the host and the checkpoint volume must hold. */
import type { Basis } from "../host.ts";
import type { Architecture } from "../../config/schema/models.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import type { Batches, Engine, Topology } from "../run/index.ts";
import { hostBytes } from "./host.ts";
import { adaptersOf } from "./lora.ts";
import { type LogitsLoss, planLogitsLoss } from "./logits.ts";
import { megatronPeak } from "./megatron.ts";
import { contextBytes, type Peak, peak, together, withHeadroom } from "./parts.ts";
import { graphBytes, type RolloutMemory, rolloutMemory } from "./rollout.ts";
import {
  offloadedInputBytes,
  restingParts,
  scoringPeak,
  trainingPeak,
  type TrainingSetup,
} from "./trainer.ts";
import { parametersOf } from "../../config/schema/parameters.ts";

export type Role = "actor" | "reference" | "critic" | "rollout" | "weight sync";

/** What one role needs of a GPU at most, with all else that lies there at that moment. */
export interface RoleMemory {
  readonly role: Role;
  readonly peak: Peak;
}

export interface Memory {
  /** Of one GPU; undefined if the site does not say. */
  readonly capacity: number | undefined;
  /** By how much the estimate may be wrong: what was measured, or what was only derived. */
  readonly margin: number;
  readonly roles: readonly RoleMemory[];
  /** The loss that the estimate assumes; undefined for Megatron, whose own is counted. */
  readonly loss: LogitsLoss | undefined;
  /** undefined if the GPU's memory is not known. */
  readonly rollout: RolloutMemory | undefined;
  /** Host memory of one node for what the GPUs do not hold between uses. */
  readonly hostBytes: number;
  /** One checkpoint: weights and optimizer state of all trained models. */
  readonly checkpointBytes: number;
}

/** Above twice the largest error of the measured cases; and what engines get whose memory was only derived. */
const [measured, derived] = [0.1, 0.25] as const;

export interface MemoryInputs {
  readonly topology: Topology;
  readonly engine: Engine;
  readonly batches: Batches;
}

/** undefined where the model's shapes are not known. */
export function planMemory(settings: Basis, inputs: MemoryInputs): Memory | undefined {
  const model = settings.modelFacts?.architecture;
  if (!model) return undefined;
  const { experiment, host } = settings;
  const { topology, engine } = inputs;
  const { gpu_memory: size } = host.gpu_nodes;
  const capacity = size === undefined ? undefined : bytesOf(size);
  const trained = trainedRoles(settings, model, inputs);
  const { total } = parametersOf(model);
  const hasCritic = experiment.algorithm.adv_estimator === "ppo";
  const adapters = adaptersOf(experiment, model);
  // Of all trained models: fp32 weights, and two moments of what is trained.
  const restingBytes = 4 * total + 8 * (adapters ?? total) + (hasCritic ? 12 * total : 0);
  const rollout =
    capacity === undefined
      ? undefined
      : rolloutMemory(rolloutSetup(settings, model, { ...inputs, capacity }));
  return {
    capacity,
    margin: engine.name === "fsdp" && adapters === undefined ? measured : derived,
    roles: [...trained, ...rolloutRoles(settings, model, { ...inputs, rollout })],
    loss: engine.name === "megatron" ? undefined : planLogitsLoss(experiment),
    rollout,
    hostBytes: hostBytes(settings, {
      ...{ total, restingBytes, topology, engine },
      hasReference: experiment.algorithm.use_kl_loss && adapters === undefined,
      offloaded: offloadedInputBytes(trainingSetup(settings, model, inputs)),
    }),
    checkpointBytes: restingBytes,
  };
}

/** Roles of the trainer, one after the other on the same GPUs; what is not offloaded stays beside the others. */
function trainedRoles(settings: Basis, model: Architecture, inputs: MemoryInputs): RoleMemory[] {
  const { experiment } = settings;
  const { training, algorithm } = experiment;
  const setup = trainingSetup(settings, model, inputs);
  const hasCritic = algorithm.adv_estimator === "ppo";
  const hasAdapters = setup.trainable !== undefined;
  const shard = parametersOf(model).total / setup.shards;
  const resting = peak("at rest", training.actor_offload ? {} : restingParts(setup));
  const sleeping = sleepingServer(settings, inputs);
  const beside = (role: Role, own: Peak, others: readonly Peak[]): RoleMemory => ({
    role,
    peak: others.reduce((sum, other) => together(sum.phase, sum, other), withHeadroom(own)),
  });
  const updates = (role: "actor" | "critic", hasHead: boolean) =>
    // A critic is trained whole.
    beside(
      role,
      update(hasHead ? setup : { ...setup, trainable: undefined }, { inputs, hasHead }),
      [...sleeping, ...(hasCritic ? [resting] : [])],
    );
  // FSDP keeps a reference's parameters in host memory whatever the setting says.
  const keepsReference = inputs.engine.name !== "fsdp" && !training.ref_offload;
  return [
    updates("actor", true),
    // With adapters the reference is the actor without them.
    ...(algorithm.use_kl_loss && !hasAdapters
      ? [
          beside("reference", scoringPeak(setup, "scoring", keepsReference ? shard * 2 : 0), [
            ...sleeping,
            resting,
            ...(hasCritic ? [resting] : []),
          ]),
        ]
      : []),
    ...(hasCritic ? [updates("critic", false)] : []),
  ];
}

function update(
  setup: TrainingSetup,
  { inputs, hasHead }: { inputs: MemoryInputs; hasHead: boolean },
): Peak {
  const { engine, topology } = inputs;
  const { model, tokens } = setup;
  return engine.name === "megatron"
    ? megatronPeak({ model, tokens, engine, gpus: topology.trainerGpus, hasHead })
    : trainingPeak({ ...setup, hasHead });
}

function trainingSetup(
  settings: Basis,
  model: Architecture,
  { topology, engine, batches }: MemoryInputs,
): TrainingSetup {
  const { use_dynamic_bsz: packs } = settings.experiment.training;
  return {
    model,
    // Without packing a micro-batch is one sequence; the budget is sized for the longest either way.
    tokens: packs
      ? batches.tokensPerGpu
      : Math.ceil(batches.windowTokens / engine.sequenceParallel),
    shards: engine.shardingSize === -1 ? topology.trainerGpus : engine.shardingSize,
    trainable: adaptersOf(settings.experiment, model),
    sharding: engine.name === "fsdp" ? "flat" : "by parameter",
    logitsCopies: planLogitsLoss(settings.experiment).copies,
    checkpointing: true,
    offloadsActivations: engine.name === "fsdp" && settings.experiment.training.activation_offload,
    hasHead: true,
  };
}

/** A server that shares the GPUs sleeps while the trainer works: weights and cache are gone, context and graphs stay. */
function sleepingServer({ experiment }: Basis, { topology }: MemoryInputs): Peak[] {
  if (topology.mode === "async") return [];
  const graphs = experiment.vllm.enforce_eager ? 0 : graphBytes;
  return [peak("asleep", { "CUDA graphs": graphs, headroom: contextBytes })];
}

function rolloutSetup(
  { experiment: { vllm } }: Basis,
  model: Architecture,
  { topology, batches, capacity }: MemoryInputs & { capacity: number },
) {
  return {
    model,
    tensorParallel: topology.tensorParallel,
    elementBytes: vllm.dtype === "float32" ? 4 : 2,
    capacity,
    utilization: vllm.gpu_memory_utilization,
    sequences: vllm.max_num_seqs,
    window: batches.modelLength,
    graphs: !vllm.enforce_eager,
  };
}

/** On shared GPUs the trainer's context stays, and what it does not offload; weights go over layer by layer. */
function rolloutRoles(
  settings: Basis,
  model: Architecture,
  { rollout, topology, ...inputs }: MemoryInputs & { rollout: RolloutMemory | undefined },
): RoleMemory[] {
  if (!rollout) return [];
  if (topology.mode === "async") return [{ role: "rollout", peak: rollout.peak }];
  const setup = trainingSetup(settings, model, { topology, ...inputs });
  const shard = parametersOf(model).total / setup.shards;
  const offloads = settings.experiment.training.actor_offload;
  const trainer = peak("resting", {
    headroom: contextBytes,
    ...(offloads ? {} : restingParts(setup)),
  });
  const { weights = 0, "CUDA graphs": graphs = 0 } = rollout.peak.parts;
  const sync = peak("weights go over", {
    weights: weights + shard * 4 + parametersOf(model).layer * 6,
    optimizer: offloads ? 0 : restingParts(setup).optimizer,
    "CUDA graphs": graphs,
    headroom: 2 * contextBytes,
  });
  return [
    { role: "rollout", peak: together(rollout.peak.phase, rollout.peak, trainer) },
    { role: "weight sync", peak: sync },
  ];
}
