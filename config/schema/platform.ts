/** Experiment sections that the original contract does not have: how this project runs the experiment on a cluster. */
import { z } from "zod";
import { absolutePath, byteQuantity, count, image, port } from "./scalars.ts";

type OverrideValue =
  string | number | boolean | null | OverrideValue[] | { [key: string]: OverrideValue };

/** What Hydra's grammar can write; it quotes no key of a map. */
const overrideValue: z.ZodType<OverrideValue> = z
  .lazy(() =>
    z.union([
      z.string(),
      z.number(),
      z.boolean(),
      z.null(),
      z.array(overrideValue),
      z.record(
        z.string().regex(/^[A-Za-z_][\w.-]*$/, {
          error: "must begin with a letter and have only letters, digits, '_', '.' and '-'",
        }),
        overrideValue,
      ),
    ]),
  )
  .meta({ id: "HydraValue", description: "A scalar, a list or a map, as Hydra writes them." });

export const verlVersions = ["0.8.0", "0.9.1"] as const;

export const verl = z.strictObject({
  version: z
    .enum(verlVersions)
    .default("0.8.0")
    .describe("verl release in the training image; its Hydra keys decide the command line."),
  distribution: z
    .enum(["fork", "stock"])
    .default("fork")
    .describe(
      "`fork`: the original system's verl, `verl_patch` configuration and agent loop; `stock`: the released package, and the agent loop of this project (`training/`).",
    ),
  engine: z
    .enum(["fsdp", "veomni", "megatron"])
    .default("fsdp")
    .describe(
      "Training engine: `fsdp` (dense models, and the validated default), `veomni` (large mixture-of-experts models), `megatron` (the largest).",
    ),
  config_name: z
    .string()
    .regex(/^[A-Za-z_]\w*$/, { error: "must be the name of a Hydra file without its ending" })
    .optional()
    .describe(
      "Hydra configuration of the fork in `src/verl_patch/config`. Default: harbor_verl_sync, on the asynchronous tiers lego_rl_fully_async_fsdp or lego_rl_fully_async_megatron.",
    ),
  router_replay: z
    .enum(["disabled", "R2", "R3"])
    .optional()
    .describe(
      "Replay the rollout's (R3) or the old policy's (R2) expert choices in training. Default: R3 for mixture-of-experts models where engine and release can, else disabled (C-15).",
    ),
  tool_call_parser: z
    .string()
    .regex(/^[a-z0-9_-]+$/, { error: "must be a parser of vLLM, such as qwen3_coder or hermes" })
    .optional()
    .describe(
      "vLLM's tool-call parser. Default: the one that `config/models.yaml` has for the model and scaffold (C-22).",
    ),
  overrides: z
    .record(
      z.string().regex(/^[a-z_]\w*(\.[\w-]+)*$/i, {
        error: "must be a dotted Hydra key without a leading '+', '~' or quotes",
      }),
      overrideValue,
    )
    .default({})
    .describe(
      "Further Hydra overrides, for verl keys that no setting covers: scalars, lists and maps. A key that verl does not have is added where its parent takes any key, and refused elsewhere; so is a key that the Plan sets itself.",
    ),
});

export const trainer = z.strictObject({
  image: image()
    .optional()
    .describe("Training image of this experiment. Default: the site's `images.training`."),
  project_dir: absolutePath()
    .default("/workspace/repos/harbor-verl-train")
    .describe(
      "Checkout of the trainer's repository in the training image: working directory of the run; checkpoints, logs and trials are mounted below it. Asynchronous tiers: /workspace (D-03).",
    ),
  agent_loop: z
    .string()
    .optional()
    .describe(
      "Name of the agent loop in the agent-loop configuration. Default: `harbor` with `verl.distribution: stock`, else `builtin_swe_agent`.",
    ),
  agent_loop_config: absolutePath()
    .optional()
    .describe(
      "Agent-loop configuration in the training image. Default: with `verl.distribution: stock` `/opt/swe-rl-training/agent_loop.yaml`, else `src/verl_patch/config/agent_loop_config_cc.yaml` (claude-code) or `…_oh.yaml` (the others) below `project_dir`.",
    ),
  max_restarts: z
    .int()
    .min(0)
    .default(3)
    .describe(
      "How often a run that failed after a step is submitted again, all in all; verl resumes from the newest checkpoint. The third failure in a row before the first step of a start ends the run, and a failure while Ray lacks GPUs does not count. 0: no failed run is submitted again.",
    ),
});

export const ray = z.strictObject({
  version: z
    .string()
    .regex(/^\d+\.\d+\.\d+$/, { error: "must be a release such as 2.54.1" })
    .default("2.54.1")
    .describe("Ray release in the training image; at least 2.52 for token authentication."),
  object_store_bytes: z
    .int()
    .min(1e9)
    .default(40_000_000_000)
    .describe("Ray object store of a GPU node in bytes; lives in /dev/shm (D-30)."),
  head_cpus: count().default(8).describe("CPUs of the head pod, which has no GPU."),
  head_memory: byteQuantity().default("64Gi").describe("Memory limit of the head pod."),
});

export const proxy = z.strictObject({
  mode: z
    .enum(["litellm", "in_process"])
    .default("litellm")
    .describe(
      "How agents reach the policy: through LiteLLM on one fixed port, or through a proxy in every agent-loop worker with a URL for each trial (default of the asynchronous tiers, D-01).",
    ),
  replicas: z.int().min(2).max(16).default(2).describe("LiteLLM pods; at least 2."),
  cpus: count().default(2).describe("CPUs of one LiteLLM pod."),
  memory: byteQuantity().default("2Gi").describe("Memory of one LiteLLM pod."),
  recorder_port: port()
    .default(8003)
    .describe("Port of the recorder, which stands between LiteLLM and the rollout servers."),
});

const volume = (size: string, purpose: string) =>
  z
    .strictObject({
      size: byteQuantity().default(size).describe("Capacity to claim."),
      removal: z
        .enum(["retain", "remove"])
        .default("retain")
        .describe("`retain`: the data outlives `pulumi destroy`; `remove`: destroy deletes it."),
    })
    .prefault({})
    .describe(purpose);

export const storage = z.strictObject({
  checkpoints: volume("4Ti", "Volume of the checkpoints."),
  logs: volume("100Gi", "Volume of the training and vLLM logs."),
  trials: volume("1Ti", "Volume of the trials and their trajectories."),
});
