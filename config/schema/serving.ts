/** The experiment section `serving`: models that plain vLLM serves beside the run, for evaluation or judging. */
import { z } from "zod";
import { absolutePath, byteQuantity, count, image, port } from "./scalars.ts";

/** Kubernetes' limit for a Service's name, less the prefix `frozen-`. */
const longestName = 56;

const frozenModel = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, {
      error: "must be a DNS label: lower-case letters, digits and inner hyphens",
    })
    .max(longestName)
    .describe("Name of the server; its Deployment and Service are called `frozen-<name>`."),
  model_path: absolutePath().describe(
    "Directory of the checkpoint, below the site's `volumes.models.mount_path`.",
  ),
  served_model_name: z
    .string()
    .regex(/^[A-Za-z0-9][\w./-]*$/, { error: "must be letters, digits, '.', '_', '/' and '-'" })
    .optional()
    .describe("Name that clients ask for. Default: `name`."),
  gpus: count()
    .default(1)
    .describe("GPUs of one replica (tensor parallel). Must divide the model's KV heads (C-01)."),
  replicas: count().default(1).describe("Servers behind the one Service."),
  port: port().default(8000).describe("Port of the server (C-46)."),
  max_model_length: count()
    .optional()
    .describe("Window in tokens. Default: what the model's `config.json` says."),
  gpu_memory_utilization: z
    .number()
    .gt(0)
    .max(1)
    .default(0.85)
    .describe("Share of GPU memory that vLLM may use, 0 to 1."),
  max_num_seqs: count().default(96).describe("Sequences that one replica decodes at once."),
  dtype: z
    .enum(["bfloat16", "float16", "float32", "auto"])
    .default("bfloat16")
    .describe("Weight type."),
  expert_parallel: z
    .boolean()
    .optional()
    .describe(
      "Spread a mixture of experts over the GPUs by expert. Default: what `config/models.yaml` says of the model.",
    ),
  tool_call_parser: z
    .string()
    .regex(/^[a-z0-9_-]+$/, { error: "must be a parser of vLLM, such as qwen3_coder or hermes" })
    .optional()
    .describe("vLLM's tool-call parser. Omitted: the server understands no tool calls."),
  image: image()
    .optional()
    .describe("Image with vLLM. Default: the site's `images.vllm`, else the training image."),
  cpus: count()
    .optional()
    .describe("CPUs of one replica. Default: its GPUs' share of the site's `gpu_nodes.cpus`."),
  memory: byteQuantity()
    .optional()
    .describe(
      "Memory limit of one replica; its /dev/shm counts into it. Default: its GPUs' share of the site's `gpu_nodes.memory`.",
    ),
});

export const serving = z.array(frozenModel).default([]);
