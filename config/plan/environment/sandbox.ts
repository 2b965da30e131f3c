import type { Settings } from "../../load.ts";
import type { EnvironmentVariable } from "../environment.ts";
import type { Names } from "../names.ts";
import { validationTimes } from "../sandbox-times.ts";
import { row } from "./row.ts";

const kubernetesEnvironment =
  "harbor_patch.environments.kubernetes.kubernetes:KubernetesEnvironment";

/** Where and how Harbor makes its sandboxes. */
export function sandboxVariables(
  { experiment, site }: Settings,
  names: Names,
): EnvironmentVariable[] {
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
    ...row(
      "K8S_VAL_POD_STARTUP_TIMEOUT",
      validationTimes.startupSeconds,
      "validation pulls images that training has not",
    ),
    ...row("K8S_VAL_POD_ACTIVE_DEADLINE_SECONDS", validationTimes.deadlineSeconds, "D-31"),
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

/** Process environment of every training pod. */
export function processVariables({ experiment, site }: Settings): EnvironmentVariable[] {
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
    ...row("RAY_USAGE_STATS_ENABLED", "0", "nothing is reported outside"),
  ];
}
