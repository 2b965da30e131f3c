import type { Basis } from "../host.ts";
import { modelFactsOf } from "../../config/schema/model-facts.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import type { Topology } from "../run/index.ts";
import { frozenModelOf } from "../names.ts";

const GiB = 2 ** 30;

/** Shared memory of one replica, for NCCL and vLLM's message queues: the value of vLLM's own production stack (vllm#37982). */
const sharedMemoryBytes = 20 * GiB;

/** Least memory that must remain for the processes, or the server could not even load the model. */
export const leastProcessMemoryBytes = 16 * GiB;

/** Least minutes that a replica may take to start: loading weights and capturing CUDA graphs normally take 10 to 20. */
const leastStartupMinutes = 30;

/** Minutes that the image of many gigabytes may take before the server even starts. */
const pullMinutes = 15;

/**
 * A model that plain vLLM serves for evaluation or judging. It is never in the weight-sync path: verl knows nothing
 * of it, its weights are those of its checkpoint for as long as it lives, and the policy is not served by it.
 */
export interface FrozenModel {
  readonly name: string;
  /** Name of its Deployment, Service and account. */
  readonly object: string;
  readonly image: string;
  /** The whole command. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly replicas: number;
  /** GPUs of one replica. */
  readonly gpus: number;
  readonly cpus: number;
  /** Request and limit in bytes; shared memory counts into it. */
  readonly memoryBytes: number;
  readonly sharedMemoryBytes: number;
  readonly port: number;
  readonly servedName: string;
  readonly modelPath: string;
  /** Minutes that a started server may take until it answers. */
  readonly startupMinutes: number;
  /** Minutes that a rollout of one replica may take, pull included. */
  readonly rolloutMinutes: number;
}

type Wanted = Basis["experiment"]["serving"][number];

export function planServing(settings: Basis, topology: Topology): FrozenModel[] {
  const { experiment, host } = settings;
  const startupMinutes = Math.max(leastStartupMinutes, host.timeouts.rollout_minutes);
  return experiment.serving.map((wanted): FrozenModel => {
    const memoryBytes = planMemory(wanted, settings, topology);
    return {
      name: wanted.name,
      object: frozenModelOf(wanted.name),
      image: wanted.image ?? host.images.vllm ?? experiment.trainer.image ?? host.images.training,
      argv: command(wanted, hasExpertParallelism(wanted, settings)),
      environment: {
        // Weights come from the volume, and nothing is reported outside.
        HF_HUB_OFFLINE: "1",
        VLLM_NO_USAGE_STATS: "1",
        VLLM_LOGGING_LEVEL: experiment.infrastructure.vllm_logging_level,
      },
      replicas: wanted.replicas,
      gpus: wanted.gpus,
      cpus:
        wanted.cpus ??
        Math.max(1, Math.floor((host.gpu_nodes.cpus * wanted.gpus) / topology.gpusPerNode)),
      memoryBytes,
      sharedMemoryBytes,
      port: wanted.port,
      servedName: wanted.served_model_name ?? wanted.name,
      modelPath: wanted.model_path,
      startupMinutes,
      rolloutMinutes: startupMinutes + pullMinutes,
    };
  });
}

function planMemory(wanted: Wanted, { host }: Basis, { gpusPerNode }: Topology): number {
  if (wanted.memory !== undefined) return bytesOf(wanted.memory);
  const share = (bytesOf(host.gpu_nodes.memory) * wanted.gpus) / gpusPerNode;
  return Math.floor(share / GiB) * GiB;
}

/** Whether experts are spread over the GPUs. */
function hasExpertParallelism(wanted: Wanted, { models }: Basis): boolean {
  const facts = modelFactsOf(models, wanted.model_path);
  return wanted.expert_parallel ?? (facts?.mixture_of_experts === true && wanted.gpus > 1);
}

function command(wanted: Wanted, expertParallel: boolean): string[] {
  const option = (name: string, value: string | number | undefined) =>
    value === undefined ? [] : [`--${name}`, String(value)];
  return [
    "vllm",
    "serve",
    wanted.model_path,
    ...option("served-model-name", wanted.served_model_name ?? wanted.name),
    ...option("host", "0.0.0.0"),
    ...option("port", wanted.port),
    ...option("tensor-parallel-size", wanted.gpus),
    ...(expertParallel ? ["--enable-expert-parallel"] : []),
    ...option("dtype", wanted.dtype),
    ...option("max-model-len", wanted.max_model_length),
    ...option("max-num-seqs", wanted.max_num_seqs),
    ...option("gpu-memory-utilization", wanted.gpu_memory_utilization),
    ...(wanted.tool_call_parser === undefined
      ? []
      : ["--enable-auto-tool-choice", ...option("tool-call-parser", wanted.tool_call_parser)]),
  ];
}
