import type { Basis } from "../../host.ts";
import { collectiveTimeoutSeconds } from "../fixed.ts";
import { harborVariables } from "./harbor.ts";
import { noSetting, row } from "./row.ts";
import type { EnvironmentInputs, EnvironmentVariable } from "./types.ts";

const kubernetesEnvironment = {
  fork: "harbor_patch.environments.kubernetes.kubernetes:KubernetesEnvironment",
  stock: "swe_rl_training.kubernetes_sandbox:KubernetesEnvironment",
} as const;

/** Where and how Harbor makes its sandboxes. */
export function sandboxVariables(
  settings: Basis,
  { names, sandboxes: { life } }: EnvironmentInputs,
): EnvironmentVariable[] {
  const { experiment, host } = settings;
  const { harbor_agent: agent, k8s, sandbox } = experiment;
  const { harbor } = host;
  const hasSidecar = sandbox.profile === "sidecar";
  return [
    // Present and empty: Harbor then falls through to the pod's own service account.
    { name: "K8S_KUBECONFIG", value: "", source: noSetting },
    ...row("K8S_NAMESPACE", names.namespaces.sandbox, noSetting),
    ...row("K8S_POD_STARTUP_TIMEOUT", k8s.pod_startup_timeout, "k8s.pod_startup_timeout"),
    ...row(
      "K8S_POD_ACTIVE_DEADLINE_SECONDS",
      life.training.deadline,
      "k8s.pod_active_deadline_seconds",
    ),
    ...row(
      "K8S_VAL_POD_STARTUP_TIMEOUT",
      k8s.val_pod_startup_timeout,
      "k8s.val_pod_startup_timeout",
    ),
    ...row(
      "K8S_VAL_POD_ACTIVE_DEADLINE_SECONDS",
      life.validation.deadline,
      "k8s.val_pod_active_deadline_seconds",
    ),
    ...harborVariables(settings),
    ...row(
      "HARBOR_ENVIRONMENT_IMPORT_PATH",
      agent.environment_import_path ?? kubernetesEnvironment[experiment.verl.distribution],
      "docs/decisions.md#d-32",
    ),
    ...row(
      "HARBOR_ENVIRONMENT_FORCE_BUILD",
      agent.environment_force_build ?? false,
      "harbor_agent.environment_force_build",
    ),
    // Its sidecar needs NET_ADMIN, which pod security baseline refuses; the namespace's policies replace it.
    ...row("HARBOR_K8S_EGRESS_ISOLATION", hasSidecar ? "1" : "0", "sandbox.profile"),
    ...row(
      "HARBOR_NETADMIN_IMAGE",
      hasSidecar ? harbor.netadmin_image : undefined,
      "harbor.netadmin_image; docs/decisions.md#c-29",
    ),
    ...row(
      "HARBOR_K8S_INLINE_BUILD",
      harbor.inline_build ? "true" : "false",
      "harbor.inline_build",
    ),
    ...row("HARBOR_NYDUS_MIRROR", harbor.nydus_mirror, "harbor.nydus_mirror"),
  ];
}

/** Process environment of every training pod. */
export function processVariables({ experiment, host }: Basis): EnvironmentVariable[] {
  const nic = host.network.interface;
  return [
    ...["NCCL", "GLOO", "TP"].flatMap((library) =>
      row(`${library}_SOCKET_IFNAME`, nic, "network.interface; docs/decisions.md#c-39"),
    ),
    ...row("NCCL_DEBUG", "WARN", noSetting),
    ...row("NCCL_TIMEOUT", collectiveTimeoutSeconds, noSetting),
    ...row("TOKENIZERS_PARALLELISM", "false", noSetting),
    ...row("RAYON_NUM_THREADS", 1, noSetting),
    ...row(
      "VLLM_LOGGING_LEVEL",
      experiment.infrastructure.vllm_logging_level,
      "infrastructure.vllm_logging_level",
    ),
    ...row("RAY_USAGE_STATS_ENABLED", "0", noSetting),
  ];
}
