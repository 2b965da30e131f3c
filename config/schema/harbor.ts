/** The contract's sections `harbor_agent` and `harbor_runtime`: how a trial runs in its sandbox. */
import { z } from "zod";
import { absolutePath, count, image, importPath, seconds } from "./scalars.ts";

export const scaffolds = [
  "claude-code",
  "openhands-sdk",
  "openhands",
  "opencode",
  "custom",
] as const;
export type Scaffold = (typeof scaffolds)[number];

const multiplier = () => z.number().gt(0).default(1);

const hostPathMount = z.strictObject({
  host_path: absolutePath().describe("Directory on the sandbox node."),
  mount_path: absolutePath().describe("Where the sandbox sees it."),
  read_only: z.boolean().default(true).describe("Mount without write access."),
});

export const harborAgent = z.strictObject({
  scaffold: z
    .enum(scaffolds)
    .optional()
    .describe(
      "Agent in the sandbox; brings the five settings below and its tool-call format. `custom` needs them spelled out. Default: the one of `agent_import_path`, else claude-code.",
    ),
  agent_name: z
    .string()
    .nullable()
    .optional()
    .describe(
      "Harbor's registry name of the agent; must be null for the OpenHands pair (C-23). Default: the scaffold's.",
    ),
  agent_import_path: importPath()
    .optional()
    .describe("Python class that drives the agent. Default: the scaffold's."),
  runtime_image: image()
    .optional()
    .describe(
      "Image with the agent's runtime, mounted into every sandbox (no install per pod). Default: the scaffold's.",
    ),
  runtime_mount_path: absolutePath()
    .refine((path) => path !== "/", { error: "must not be /" })
    .optional()
    .describe("Where a sandbox finds the agent's runtime. Default: the scaffold's."),
  runtime_image_subpath: z
    .string()
    .regex(/^[^/].*$/, { error: "must be relative to the root of the image" })
    .optional()
    .describe(
      "Directory inside the runtime image. Default: the mount path without its leading slash.",
    ),
  max_iterations: count().default(100).describe("Turns of one trial."),
  max_retries: z.int().min(0).default(2).describe("Retries of a failed trial."),
  max_timeout_sec: seconds()
    .default(2400)
    .describe("Cap on the agent phase of a trial, in seconds."),
  override_timeout_sec: seconds()
    .default(2400)
    .describe("Base timeout of the agent phase in seconds; without it the cap does nothing."),
  val_max_timeout_sec: seconds()
    .default(4800)
    .describe("Cap on the agent phase of a validation trial, in seconds (C-19)."),
  max_call_tokens: count()
    .default(32_000)
    .describe(
      "Most tokens that one model call may sample. The agent is told, and the recorder holds every call to it. At most a quarter of the window, so that a long prompt leaves room for an answer.",
    ),
  disable_tool_calls: z.boolean().default(false).describe("Run the agent without tools."),
  verifier_enabled: z.boolean().default(true).describe("Run the task's tests for the reward."),
  environment_delete: z.boolean().default(true).describe("Delete the sandbox after its trial."),
  temperature: z
    .number()
    .gt(0)
    .default(1)
    .describe(
      "Sampling temperature that the agent asks for; equals `algorithm.temperature` (C-41).",
    ),
  pod_name_prefix: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, {
      error:
        "must be lower-case letters, digits and inner hyphens, and not empty: cleanup selects pods by it",
    })
    .max(32, "Harbor cuts pod name prefixes at 32 characters")
    .default("swe-lego-live-rl")
    .meta({ rule: "C-44" })
    .describe("Prefix and `harbor-run` label of the sandbox pods."),
  agent_setup_timeout_multiplier: multiplier().describe("Factor on the agent's set-up timeout."),
  agent_timeout_multiplier: multiplier().describe("Factor on the agent's timeout."),
  verifier_timeout_multiplier: multiplier().describe("Factor on the verifier's timeout."),
  environment_build_timeout_multiplier: multiplier().describe("Factor on the build timeout."),
  environment_type: z
    .null({
      error:
        "must stay null: Harbor's enumeration has no such backend and would refuse every trial",
    })
    .default(null)
    .describe("Must stay null."),
  environment_import_path: importPath()
    .optional()
    .describe("Class of the sandbox backend. Default: the one that fits the site."),
  environment_force_build: z
    .boolean()
    .optional()
    .describe("Build task images on the fly. Default false; Kubernetes ignores it."),
  environment_override_cpus: count().default(1).describe("CPUs that one sandbox requests."),
  environment_override_memory_mb: count()
    .default(8192)
    .describe("Memory that one sandbox requests, in MB."),
  max_consecutive_no_tool: z
    .int()
    .min(0)
    .default(0)
    .describe("End a trial after this many turns without a tool call; 0 is off."),
  host_path_mounts: z
    .array(hostPathMount)
    .nullable()
    .default(null)
    .meta({ rule: "C-42" })
    .describe(
      "Node directories to mount into sandboxes (C-42). Pod security baseline refuses them.",
    ),
  docker_host: z
    .string()
    .default("")
    .describe("No effect on Kubernetes. A Docker site names its daemon itself."),
});

export const harborRuntime = z.strictObject({
  num_workers: count()
    .default(16)
    .describe(
      "Agent-loop workers: 16 for a cold start, 32 to 64 in steady state; on the synchronous tier a divisor of the trials of a step.",
    ),
  tail_kill_target: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe(
      "Share of a step's trials that must end by themselves; 0.95 kills the slowest 5 %, 1 is off.",
    ),
  tail_kill_grace_sec: z
    .int()
    .min(0)
    .default(180)
    .describe("Seconds between reaching the target and the kill."),
  tail_kill_min_tasks: count().default(32).describe("No tail kill in steps with fewer trials."),
});
