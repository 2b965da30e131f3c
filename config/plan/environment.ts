import type { Settings } from "../load.ts";
import type { Names } from "./names.ts";
import type { Storage } from "./storage.ts";
import type { Topology } from "./topology.ts";

/** Secrets that training pods get as variables. */
export type TrainingSecret = "sandboxKey" | "wandbApiKey";

/** One environment variable of the training pods. */
export type EnvironmentVariable = {
  readonly name: string;
  /** Setting, rule or ruling that it comes from. */
  readonly source: string;
} & (
  | { readonly value: string }
  /** Taken from a Secret; the value appears nowhere else. */
  | { readonly secret: TrainingSecret }
  /** Known only when the proxy's Service has its address. */
  | { readonly deferred: "proxyUrl" }
);

const kubernetesEnvironment =
  "harbor_patch.environments.kubernetes.kubernetes:KubernetesEnvironment";

type Value = string | number | boolean | null | undefined;

/** The contract's spelling: booleans as Python writes them; empty values are not exported, so that upstream defaults apply. */
function row(name: string, value: Value, source: string): EnvironmentVariable[] {
  if (value === undefined || value === null || value === "") return [];
  const text = typeof value === "boolean" ? (value ? "True" : "False") : String(value);
  return [{ name, value: text, source }];
}

/** How the experiment is tracked, after what the site allows. */
export function trackingMode({ experiment, site }: Settings): "online" | "offline" | "disabled" {
  const wanted = experiment.credentials.wandb_mode;
  if (site.tracking === "allowed" || wanted === "disabled") return wanted;
  return site.tracking;
}

/** Everything that the original scripts export, for every Ray pod: a shell export would not reach Ray's workers. */
export function planEnvironment(
  settings: Settings,
  parts: { names: Names; topology: Topology; storage: Storage; toolCallParser: string },
): EnvironmentVariable[] {
  return [
    ...runVariables(settings, parts),
    ...agentVariables(settings),
    ...sandboxVariables(settings, parts.names),
    ...modelAccessVariables(settings),
    ...processVariables(settings),
  ];
}

function runVariables(
  settings: Settings,
  parts: { names: Names; topology: Topology; storage: Storage; toolCallParser: string },
): EnvironmentVariable[] {
  const { experiment } = settings;
  const { infrastructure, training, harbor_runtime: runtime } = experiment;
  const { names, topology, storage } = parts;
  const mode = trackingMode(settings);
  return [
    ...row("MODEL_PATH", experiment.model.model_path, "model.model_path"),
    ...row("SERVED_MODEL_NAME", experiment.model.served_model_name, "model.served_model_name"),
    ...row("TOOL_CALL_PARSER", parts.toolCallParser, "C-22"),
    ...row("DATA_DIR", experiment.data.data_dir, "data.data_dir"),
    ...row("TRAIN_INDEX", experiment.data.train_index, "data.train_index"),
    ...row("VAL_INDEX", experiment.data.val_index, "data.val_index"),
    ...row("NNODES", topology.gpuNodes, "tier"),
    ...row("NGPUS_PER_NODE", topology.gpusPerNode, "infrastructure.ngpus_per_node"),
    ...row("RAY_PORT", infrastructure.ray_port, "infrastructure.ray_port"),
    ...row(
      "RAY_DASHBOARD_PORT",
      infrastructure.ray_dashboard_port,
      "infrastructure.ray_dashboard_port",
    ),
    ...row("LITELLM_PORT", infrastructure.litellm_port, "infrastructure.litellm_port"),
    ...row("NUM_WORKERS", runtime.num_workers, "harbor_runtime.num_workers"),
    ...row("test_freq", training.test_freq, "training.test_freq"),
    ...row("HARBOR_TAIL_KILL_TARGET", runtime.tail_kill_target, "harbor_runtime.tail_kill_target"),
    ...row(
      "HARBOR_TAIL_KILL_GRACE_SEC",
      runtime.tail_kill_grace_sec,
      "harbor_runtime.tail_kill_grace_sec",
    ),
    ...row(
      "HARBOR_TAIL_KILL_MIN_TASKS",
      runtime.tail_kill_min_tasks,
      "harbor_runtime.tail_kill_min_tasks",
    ),
    ...row("PROJECT_NAME", names.project, "experiment.project_name"),
    ...row("EXP_NAME", names.run, "experiment.exp_name"),
    ...row("HARBOR_TRIALS_DIR", storage.directories.trials, "experiment.trials_dir"),
    ...row("WANDB_MODE", mode, "credentials.wandb_mode"),
    ...(mode === "online"
      ? [{ name: "WANDB_API_KEY", secret: "wandbApiKey", source: "C-10" } as const]
      : []),
  ];
}

function agentVariables({ experiment }: Settings): EnvironmentVariable[] {
  const { harbor_agent: agent } = experiment;
  const from = (key: string) => `harbor_agent.${key}`;
  return [
    ...row("HARBOR_AGENT_NAME", agent.agent_name ?? "null", from("agent_name")),
    ...row("HARBOR_AGENT_IMPORT_PATH", agent.agent_import_path, from("agent_import_path")),
    ...row("HARBOR_AGENT_RUNTIME_IMAGE", agent.runtime_image, from("runtime_image")),
    ...row("HARBOR_AGENT_RUNTIME_MOUNT_PATH", agent.runtime_mount_path, from("runtime_mount_path")),
    ...row(
      "HARBOR_AGENT_RUNTIME_IMAGE_SUBPATH",
      agent.runtime_image_subpath ?? agent.runtime_mount_path.slice(1),
      from("runtime_image_subpath"),
    ),
    ...row("HARBOR_AGENT_MAX_ITERATIONS", agent.max_iterations, from("max_iterations")),
    ...row("HARBOR_MAX_RETRIES", agent.max_retries, from("max_retries")),
    ...row("HARBOR_AGENT_MAX_TIMEOUT_SEC", agent.max_timeout_sec, from("max_timeout_sec")),
    ...row(
      "HARBOR_AGENT_OVERRIDE_TIMEOUT_SEC",
      agent.override_timeout_sec,
      from("override_timeout_sec"),
    ),
    ...row("HARBOR_AGENT_DISABLE_TOOL_CALLS", agent.disable_tool_calls, from("disable_tool_calls")),
    ...row("HARBOR_AGENT_TEMPERATURE", agent.temperature, from("temperature")),
    ...row(
      "HARBOR_MAX_CONSECUTIVE_NO_TOOL",
      agent.max_consecutive_no_tool,
      from("max_consecutive_no_tool"),
    ),
    ...row("HARBOR_VERIFIER_ENABLED", agent.verifier_enabled, from("verifier_enabled")),
    ...row(
      "HARBOR_AGENT_SETUP_TIMEOUT_MULTIPLIER",
      agent.agent_setup_timeout_multiplier,
      from("agent_setup_timeout_multiplier"),
    ),
    ...row(
      "HARBOR_AGENT_TIMEOUT_MULTIPLIER",
      agent.agent_timeout_multiplier,
      from("agent_timeout_multiplier"),
    ),
    ...row(
      "HARBOR_VERIFIER_TIMEOUT_MULTIPLIER",
      agent.verifier_timeout_multiplier,
      from("verifier_timeout_multiplier"),
    ),
    ...row("HARBOR_VAL_AGENT_MAX_TIMEOUT_SEC", 4800, "C-19"),
    ...row("HARBOR_VAL_MAX_RETRIES", 2, "C-19"),
  ];
}

function sandboxVariables({ experiment, site }: Settings, names: Names): EnvironmentVariable[] {
  const { harbor_agent: agent, k8s, sandbox } = experiment;
  const { harbor } = site;
  const fromAgent = (key: string) => `harbor_agent.${key}`;
  return [
    // Present and empty: Harbor then falls through to the pod's own service account.
    { name: "K8S_KUBECONFIG", value: "", source: "trainer's ServiceAccount" },
    ...row("K8S_NAMESPACE", names.namespaces.sandbox, "stack"),
    ...row("K8S_POD_STARTUP_TIMEOUT", k8s.pod_startup_timeout, "k8s.pod_startup_timeout"),
    ...row(
      "K8S_POD_ACTIVE_DEADLINE_SECONDS",
      k8s.pod_active_deadline_seconds,
      "k8s.pod_active_deadline_seconds",
    ),
    ...row("K8S_VAL_POD_STARTUP_TIMEOUT", 2400, "validation pulls images that training has not"),
    ...row("K8S_VAL_POD_ACTIVE_DEADLINE_SECONDS", 9000, "D-31"),
    ...row("HARBOR_POD_NAME_PREFIX", agent.pod_name_prefix, fromAgent("pod_name_prefix")),
    ...row(
      "HARBOR_ENVIRONMENT_IMPORT_PATH",
      agent.environment_import_path ?? kubernetesEnvironment,
      "D-32",
    ),
    ...row(
      "HARBOR_ENVIRONMENT_FORCE_BUILD",
      agent.environment_force_build ?? false,
      fromAgent("environment_force_build"),
    ),
    ...row("HARBOR_ENVIRONMENT_DELETE", agent.environment_delete, fromAgent("environment_delete")),
    ...row(
      "HARBOR_ENVIRONMENT_BUILD_TIMEOUT_MULTIPLIER",
      agent.environment_build_timeout_multiplier,
      fromAgent("environment_build_timeout_multiplier"),
    ),
    ...row(
      "HARBOR_ENVIRONMENT_OVERRIDE_CPUS",
      agent.environment_override_cpus,
      fromAgent("environment_override_cpus"),
    ),
    ...row(
      "HARBOR_ENVIRONMENT_OVERRIDE_MEMORY_MB",
      agent.environment_override_memory_mb,
      fromAgent("environment_override_memory_mb"),
    ),
    ...row(
      "HARBOR_ENVIRONMENT_MEMORY_LIMIT_FACTOR",
      sandbox.memory_limit_factor,
      "sandbox.memory_limit_factor",
    ),
    // Its sidecar needs NET_ADMIN, which pod security baseline refuses; the namespace's policies replace it.
    ...row("HARBOR_K8S_EGRESS_ISOLATION", "0", "network policies of the sandbox namespace"),
    ...row(
      "HARBOR_OPENSWE_IMAGE_REGISTRY",
      harbor.task_image_registry,
      "site harbor.task_image_registry",
    ),
    ...row("HARBOR_OPENSWE_SKIP_DOCKERFILE", "true", "prebuilt task images"),
    ...row(
      "HARBOR_K8S_INLINE_BUILD",
      harbor.inline_build ? "true" : "false",
      "site harbor.inline_build",
    ),
    ...row("HARBOR_NYDUS_MIRROR", harbor.nydus_mirror, "site harbor.nydus_mirror"),
  ];
}

/** The original scripts use the plain names, the agent-loop configuration the ones with a prefix. */
function modelAccessVariables({ experiment }: Settings): EnvironmentVariable[] {
  const served = experiment.model.served_model_name;
  return ["", "HARBOR_"].flatMap((prefix): EnvironmentVariable[] => [
    { name: `${prefix}ANTHROPIC_BASE_URL`, deferred: "proxyUrl", source: "proxy" },
    { name: `${prefix}ANTHROPIC_API_KEY`, secret: "sandboxKey", source: "generated per stack" },
    { name: `${prefix}ANTHROPIC_MODEL`, value: served, source: "model.served_model_name" },
  ]);
}

function processVariables({ experiment, site }: Settings): EnvironmentVariable[] {
  const nic = site.network.interface;
  return [
    ...["NCCL", "GLOO", "TP"].flatMap((library) =>
      row(`${library}_SOCKET_IFNAME`, nic, "site network.interface (C-39)"),
    ),
    ...row("NCCL_DEBUG", "WARN", "original process environment"),
    ...row("NCCL_TIMEOUT", 7200, "a collective waits for the slowest trial"),
    ...row("TOKENIZERS_PARALLELISM", "false", "original process environment"),
    ...row("RAYON_NUM_THREADS", 1, "original process environment"),
    ...row(
      "VLLM_LOGGING_LEVEL",
      experiment.infrastructure.vllm_logging_level,
      "infrastructure.vllm_logging_level",
    ),
    ...row("CLAUDE_CODE_ATTRIBUTION_HEADER", "0", "keeps the prefix cache usable"),
    ...row("RAY_USAGE_STATS_ENABLED", "0", "nothing is reported outside"),
  ];
}
