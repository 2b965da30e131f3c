import type { Basis } from "../../host.ts";
import { noSetting, row } from "./row.ts";
import type { EnvironmentVariable } from "./types.ts";

/** Settings of Harbor that hold for sandboxes on any site. */
export function harborVariables({ experiment, host }: Basis): EnvironmentVariable[] {
  const { harbor_agent: agent, sandbox } = experiment;
  const fromAgent = (key: string) => `harbor_agent.${key}`;
  return [
    ...row("HARBOR_POD_NAME_PREFIX", agent.pod_name_prefix, fromAgent("pod_name_prefix")),
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
    ...row(
      "HARBOR_OPENSWE_IMAGE_REGISTRY",
      host.harbor.task_image_registry,
      "harbor.task_image_registry",
    ),
    ...row("HARBOR_OPENSWE_SKIP_DOCKERFILE", "true", noSetting),
  ];
}
