/**
 * The sections of the original `config.yaml` that describe where a run lives: model, data, ports, sandbox backend, serving.
 * Names, types and defaults are those of the original contract, so that a file of that system can be pasted.
 */
import { z } from "zod";
import { absolutePath, count, dnsLabel, port, seconds } from "./scalars.ts";

export const model = z.strictObject({
  model_path: absolutePath()
    .meta({ rule: "C-48" })
    .describe(
      "Directory of the policy checkpoint (with `config.json`), as the training containers see it: below the site's `volumes.models.mount_path`.",
    ),
  config_file: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The checkpoint's `config.json` on the machine that runs Pulumi, relative to the project; what it says stands over `config/models.yaml`. Default: the one in `model_path`, where that exists on this machine.",
    ),
  served_model_name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]*$/, { error: "must be letters, digits, '.', '_' and '-'" })
    .default("vllm_model")
    .describe("Name under which vLLM and the proxy serve the policy."),
});

export const data = z.strictObject({
  data_dir: absolutePath()
    .optional()
    .meta({ rule: "C-48" })
    .describe("Root of the task data, if the indexes refer to it."),
  train_index: absolutePath()
    .meta({ rule: "C-48" })
    .describe("Index of the training tasks: a Parquet file, or JSON or JSON lines."),
  val_index: absolutePath()
    .meta({ rule: "C-48" })
    .describe("Index of the validation tasks, of the same kinds."),
});

export const infrastructure = z.strictObject({
  node0_ip: z
    .union([z.ipv4({ error: "must be an IPv4 address" }), z.literal("")])
    .default("")
    .describe("No effect here: KubeRay names the head. Accepted so that an original file loads."),
  nnodes: count().optional().describe("GPU nodes of the run. Derived; another number is refused."),
  trainer_nodes: count()
    .optional()
    .describe(
      "GPU nodes of the trainer; on the tier single-node the rollout servers share them. Default: the tier's, 1 on single-node and two-node, 2 on three-node. Other numbers were not tried.",
    ),
  rollout_nodes: count()
    .optional()
    .describe(
      "GPU nodes of the rollout servers alone, on the asynchronous tiers. Default: 1. Other numbers were not tried.",
    ),
  ngpus_per_node: count().default(8).describe("GPUs of one node."),
  ray_port: port().default(6379).describe("Port of Ray's global control store on the head."),
  ray_dashboard_port: port().default(8265).describe("Port of Ray's dashboard and job API."),
  litellm_port: port().default(8002).describe("Port of the LiteLLM proxy."),
  vllm_logging_level: z
    .enum(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
    .default("INFO")
    .describe("Log level of vLLM."),
  anthropic_api_key: z
    .literal("sk-dummy", {
      error:
        "must be left out or sk-dummy: each stack generates a key of its own that opens only the inference routes, and a real key must not stand in a file",
    })
    .default("sk-dummy")
    .meta({ rule: "C-47" })
    .describe("No effect here: sandboxes get a generated key from a Secret."),
});

export const environment = z.looseObject({
  venv_path: z
    .string()
    .default("")
    .describe("No effect here: the training image brings its Python environment."),
});

export const k8s = z.strictObject({
  kubeconfig: z
    .string()
    .nullable()
    .default(null)
    .describe(
      "No effect here: the site names the cluster; trials use the trainer's ServiceAccount.",
    ),
  namespace: dnsLabel()
    .default("default")
    .describe("No effect here: trials run in the stack's own namespace, `<stack>-sandbox`."),
  pod_startup_timeout: seconds()
    .default(1200)
    .describe("Seconds that Harbor waits for a sandbox pod to become ready."),
  pod_active_deadline_seconds: seconds()
    .optional()
    .describe(
      "Seconds after which Kubernetes ends a sandbox pod, whatever it does. Default: 6000, or the longest life of a trial if that is more.",
    ),
  val_pod_startup_timeout: seconds()
    .default(2400)
    .describe("The same wait for a validation pod, whose image training has not pulled yet."),
  val_pod_active_deadline_seconds: seconds()
    .optional()
    .describe(
      "The same for a validation pod. Default: 9000, or the longest life of a validation trial if that is more (D-31).",
    ),
});

export const vllm = z.strictObject({
  gen_tp: count()
    .default(4)
    .describe(
      "Tensor-parallel size of one rollout server. Must divide the model's KV heads (C-01) and the rollout GPUs (C-02).",
    ),
  max_model_length: count()
    .optional()
    .describe(
      "Window of the rollout servers in tokens; at least prompt plus response (C-24). Default: 128000, on the asynchronous tiers prompt plus response.",
    ),
  gpu_memory_utilization: z
    .number()
    .gt(0)
    .max(1)
    .default(0.85)
    .describe("Share of GPU memory that vLLM may use, 0 to 1."),
  max_num_seqs: count().default(96).describe("Sequences that one rollout server decodes at once."),
  enforce_eager: z
    .boolean()
    .default(false)
    .describe("Skip CUDA graph capture: starts 10 to 20 minutes earlier, decodes slower."),
  dtype: z
    .enum(["bfloat16", "float16", "float32", "auto"])
    .default("bfloat16")
    .describe("Weight type of the rollout servers."),
  enable_chunked_prefill: z.boolean().default(true).describe("Split long prefills into chunks."),
});
