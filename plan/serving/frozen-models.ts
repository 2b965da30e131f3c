import type { Settings } from "../../config/load/load.ts";
import { modelFactsOf } from "../../config/schema/model-facts.ts";
import type { ModelFacts } from "../../config/schema/models.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import type { Flow, Peer } from "../network/flows.ts";
import { frozenModelOf } from "../names.ts";
import { canShareKvHeads } from "../run/kv-heads.ts";
import type { Problems } from "../problems.ts";
import { checkOnModels } from "../storage/storage.ts";
import type { Topology } from "../run/topology.ts";

const GiB = 2 ** 30;

/** Shared memory of one replica, for NCCL and vLLM's message queues: the value of vLLM's own production stack (vllm#37982). */
const sharedMemoryBytes = 20 * GiB;

/** Least memory that must remain for the processes, or the server could not even load the model. */
const leastProcessMemoryBytes = 16 * GiB;

/** Least minutes that a replica may take to start: loading weights and capturing CUDA graphs normally take 10 to 20. */
const leastStartupMinutes = 30;

/** Minutes that the image of many gigabytes may take before the server even starts. */
const pullMinutes = 15;

/** Label value by which network policies know the pods. */
const role = "frozen-model";

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

type Wanted = Settings["experiment"]["serving"][number];

export function planServing(
  settings: Settings,
  topology: Topology,
  problems: Problems,
): FrozenModel[] {
  const { experiment, site } = settings;
  const startupMinutes = Math.max(leastStartupMinutes, site.timeouts.rollout_minutes);
  return experiment.serving.map((wanted, i): FrozenModel => {
    if (experiment.serving.findIndex(({ name }) => name === wanted.name) < i) {
      problems.error(
        "serving-name",
        ["serving", i, "name"],
        `is ${wanted.name}, like another of the list: their objects would have the same names. Choose another.`,
      );
    }
    checkOnModels({ path: ["serving", i, "model_path"], value: wanted.model_path }, site, problems);
    const memoryBytes = planMemory(wanted, settings, topology);
    const rest = memoryBytes - sharedMemoryBytes;
    if (rest < leastProcessMemoryBytes) {
      problems.error(
        "serving-memory",
        ["serving", i, "memory"],
        `is ${memoryBytes / GiB}Gi${wanted.memory === undefined ? ` (the share of ${wanted.gpus} GPUs in the site's gpu_nodes.memory)` : ""}, of which /dev/shm takes ${sharedMemoryBytes / GiB}Gi: too little remains to load a model. Give at least ${(sharedMemoryBytes + leastProcessMemoryBytes) / GiB}Gi.`,
      );
    }
    return {
      name: wanted.name,
      object: frozenModelOf(wanted.name),
      image: wanted.image ?? site.images.vllm ?? experiment.trainer.image ?? site.images.training,
      argv: command(wanted, planExpertParallel(wanted, { settings, i }, problems)),
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
        Math.max(1, Math.floor((site.gpu_nodes.cpus * wanted.gpus) / topology.gpusPerNode)),
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

function planMemory(wanted: Wanted, { site }: Settings, { gpusPerNode }: Topology): number {
  if (wanted.memory !== undefined) return bytesOf(wanted.memory);
  const share = (bytesOf(site.gpu_nodes.memory) * wanted.gpus) / gpusPerNode;
  return Math.floor(share / GiB) * GiB;
}

/** Whether experts are spread over the GPUs; also the rules that need to know the model. */
function planExpertParallel(
  wanted: Wanted,
  { settings, i }: { settings: Settings; i: number },
  problems: Problems,
): boolean {
  const facts = modelFactsOf(settings.models, wanted.model_path);
  checkKvHeads(wanted, { facts, i }, problems);
  if (!facts) return wanted.expert_parallel ?? false;
  if (wanted.expert_parallel === true && !facts.mixture_of_experts) {
    problems.error(
      "serving-experts",
      ["serving", i, "expert_parallel"],
      "is true, but the model has no experts: vLLM refuses to start. Leave it out.",
    );
  }
  return wanted.expert_parallel ?? (facts.mixture_of_experts && wanted.gpus > 1);
}

function checkKvHeads(
  { gpus }: Wanted,
  { facts, i }: { facts: ModelFacts | undefined; i: number },
  problems: Problems,
): void {
  const kvHeads = facts?.kv_heads;
  if (kvHeads !== undefined) {
    if (canShareKvHeads(facts, kvHeads, gpus)) return;
    problems.error(
      "C-01",
      ["serving", i, "gpus"],
      `is ${gpus}, which does not divide the model's ${kvHeads} KV heads: the server would crash with a CUDA illegal memory access at the first forward pass. Choose a divisor of ${kvHeads}; for more throughput, more replicas.`,
    );
  } else if (gpus > 1) {
    problems.unknown(
      "C-01",
      ["serving", i, "model_path"],
      `has no kv_heads in config/models.yaml, so it is unknown whether gpus ${gpus} divides them. Look up num_key_value_heads in its config.json and add it there.`,
    );
  }
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

/**
 * The flows with those of the frozen models: the training namespace's other pods may call them on their port, and
 * that is all. They call nobody, and what all pods of that namespace may do does not hold for them.
 */
export function withServingFlows(
  flows: readonly Flow[],
  models: readonly FrozenModel[],
): readonly Flow[] {
  if (models.length === 0) return flows;
  const others = (peer: Peer): Peer =>
    peer.kind === "pods" && peer.compartment === "train" && peer.role === undefined
      ? { ...peer, except: role }
      : peer;
  const ports = [...new Set(models.map(({ port }) => port))].sort((a, b) => a - b);
  return [
    ...flows.map((flow) => ({ ...flow, from: others(flow.from), to: others(flow.to) })),
    {
      name: "training-to-frozen-models",
      reason: "evaluation and judging; nobody else may call them, and they call nobody",
      from: { kind: "pods", compartment: "train", except: role },
      to: { kind: "pods", compartment: "train", role },
      ports: ports.map((port) => ({ protocol: "TCP", from: port, to: port })),
    },
  ];
}
