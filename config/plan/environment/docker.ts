import type { Settings } from "../../load.ts";
import type { EnvironmentVariable } from "../environment.ts";
import { row } from "./row.ts";

/** Harbor's class for a daemon whose files it does not share. */
export const remoteDockerEnvironment =
  "harbor_patch.environments.remote_docker:RemoteDockerEnvironment";

export const localDockerEnvironment = "harbor.environments.docker.docker:DockerEnvironment";

/** Where the training container finds the daemon's socket. */
export const daemonSocket = "/var/run/docker.sock";

/** Where and how Harbor makes its sandboxes on a Docker host. */
export function dockerVariables({ experiment, site }: Settings): EnvironmentVariable[] {
  const { harbor_agent: agent, sandbox } = experiment;
  const fromAgent = (key: string) => `harbor_agent.${key}`;
  return [
    ...row("DOCKER_HOST", `unix://${daemonSocket}`, "site docker.socket"),
    ...row(
      "HARBOR_ENVIRONMENT_IMPORT_PATH",
      // The trainer is in a container itself, so that paths of its own mean nothing to the daemon.
      agent.environment_import_path ?? remoteDockerEnvironment,
      "site kind",
    ),
    ...row(
      "HARBOR_ENVIRONMENT_FORCE_BUILD",
      agent.environment_force_build ?? true,
      fromAgent("environment_force_build"),
    ),
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
      site.harbor.task_image_registry,
      "site harbor.task_image_registry",
    ),
    ...row("HARBOR_OPENSWE_SKIP_DOCKERFILE", "true", "prebuilt task images"),
  ];
}
