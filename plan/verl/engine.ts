import type { Engine } from "../run/index.ts";
import type { Override, OverrideValue } from "./override.ts";
import { add, type OverrideInputs, set } from "./sections.ts";

/** Source of the keys without which VeOmni crashes. */
export const fusedKernels = "docs/decisions.md#c-14";

type Row = readonly [key: string, value: OverrideValue, source: string];

/** Keys of one training engine, below the prefix of a model. */
interface EngineKeys {
  /** Of a model in training. */
  readonly trained: (inputs: OverrideInputs, model: Model) => Row[];
  readonly reference: (inputs: OverrideInputs) => Row[];
  /** Of how a model computes. */
  readonly model?: (inputs: OverrideInputs) => Row[];
}

type Model = "actor" | "critic";

const prefixes = { actor: "actor_rollout_ref.actor", critic: "critic" } as const;
const reference = "actor_rollout_ref.ref";

/** What only one training engine understands. verl swaps whole groups of keys with `model_engine`. */
export function engineOverrides(inputs: OverrideInputs): Override[] {
  const { engine, experiment } = inputs;
  const keys = engines[engine.name];
  const below = (prefix: string, rows: readonly Row[]) =>
    rows.map(([key, value, source]) => set(`${prefix}.${key}`, value, source));
  const modelRows = keys.model?.(inputs) ?? [];
  const hasCritic = experiment.algorithm.adv_estimator === "ppo";
  return [
    ...(engine.name === "fsdp" ? [] : [set("model_engine", engine.name, "verl.engine")]),
    ...below(prefixes.actor, keys.trained(inputs, "actor")),
    ...below(reference, keys.reference(inputs)),
    ...(hasCritic ? below(prefixes.critic, keys.trained(inputs, "critic")) : []),
    ...below("actor_rollout_ref.model", modelRows),
    ...(hasCritic ? below("critic.model", modelRows) : []),
    ...replayOverrides(inputs),
  ];
}

const engines: Record<Engine["name"], EngineKeys> = {
  fsdp: {
    trained({ engine, experiment: { training, algorithm } }, model) {
      const group = model === "actor" ? "fsdp_config" : "fsdp";
      return [
        ["optim.lr_scheduler_type", algorithm.lr_scheduler, "algorithm.lr_scheduler"],
        ["ulysses_sequence_parallel_size", engine.sequenceParallel, "training.sp_size"],
        [`${group}.fsdp_size`, engine.shardingSize, "training.fsdp_size"],
        [`${group}.param_offload`, training.actor_offload, "training.actor_offload"],
        [`${group}.optimizer_offload`, training.actor_offload, "training.actor_offload"],
      ];
    },
    reference: ({ experiment: { training } }) => [
      ["fsdp_config.param_offload", training.ref_offload, "training.ref_offload"],
    ],
    model: ({ experiment: { training } }) => [
      ["enable_activation_offload", training.activation_offload, "training.activation_offload"],
    ],
  },
  veomni: {
    trained: ({ engine, experiment: { training, algorithm } }) => [
      ["optim.lr_scheduler_type", algorithm.lr_scheduler, "algorithm.lr_scheduler"],
      ["veomni.ulysses_parallel_size", engine.sequenceParallel, "training.sp_size"],
      ["veomni.expert_parallel_size", engine.expertParallel, "training.ep_size"],
      ["veomni.fsdp_size", engine.shardingSize, "training.fsdp_size"],
      ["veomni.param_offload", training.actor_offload, "training.actor_offload"],
      ["veomni.optimizer_offload", training.actor_offload, "training.actor_offload"],
    ],
    reference: ({ experiment: { training } }) => [
      ["veomni.param_offload", training.ref_offload, "training.ref_offload"],
    ],
    model: () => [
      ["use_fused_kernels", false, fusedKernels],
      ["enable_activation_offload", false, fusedKernels],
    ],
  },
  megatron: {
    trained: ({ engine, experiment: { training, algorithm } }) => [
      ["optim.lr_decay_style", algorithm.lr_scheduler, "algorithm.lr_scheduler"],
      ...megatronSizes(engine),
      ["megatron.param_offload", training.actor_offload, "training.actor_offload"],
      ["megatron.optimizer_offload", training.actor_offload, "training.actor_offload"],
    ],
    reference: ({ engine, experiment: { training } }) => [
      ...megatronSizes(engine),
      ["megatron.param_offload", training.ref_offload, "training.ref_offload"],
    ],
  },
};

function megatronSizes(engine: Engine): Row[] {
  return [
    ["megatron.tensor_model_parallel_size", engine.tensorParallel, "training.tp_size"],
    ["megatron.pipeline_model_parallel_size", engine.pipelineParallel, "training.pp_size"],
    ["megatron.context_parallel_size", engine.sequenceParallel, "training.cp_size"],
    ["megatron.expert_model_parallel_size", engine.expertParallel, "training.ep_size"],
  ];
}

function replayOverrides({ engine, experiment }: OverrideInputs): Override[] {
  const { routerReplay: mode, name } = engine;
  if (mode === "disabled") return [];
  const source = "verl.router_replay";
  if (name === "fsdp") {
    return [add(`${prefixes.actor}.fsdp_config.router_replay.mode`, mode, source)];
  }
  return [
    set(`${prefixes.actor}.${name}.router_replay.mode`, mode, source),
    // The key moved: 0.8.0 has it in both places.
    ...(experiment.verl.version === "0.8.0"
      ? [set(`${prefixes.actor}.router_replay.mode`, mode, source)]
      : []),
  ];
}
