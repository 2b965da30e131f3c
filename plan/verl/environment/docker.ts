import type { Basis } from "../../host.ts";
import { harborVariables } from "./harbor.ts";
import { row } from "./row.ts";
import type { EnvironmentVariable } from "./types.ts";

/** Harbor's class for a daemon whose files it does not share. */
export const remoteDockerEnvironment =
  "harbor_patch.environments.remote_docker:RemoteDockerEnvironment";

/** Harbor's own. Since 0.25 it copies a trial's files in and out, unless it is told to mount them. */
export const localDockerEnvironment = "harbor.environments.docker.docker:DockerEnvironment";

/** Where the training container finds the daemon's socket. */
export const daemonSocket = "/var/run/docker.sock";

/** Where and how Harbor makes its sandboxes on a Docker host. */
export function dockerVariables(settings: Basis): EnvironmentVariable[] {
  const { experiment } = settings;
  const { harbor_agent: agent } = experiment;
  return [
    ...row("DOCKER_HOST", `unix://${daemonSocket}`, "docker.socket"),
    ...row(
      "HARBOR_ENVIRONMENT_IMPORT_PATH",
      agent.environment_import_path ??
        (experiment.verl.distribution === "stock"
          ? localDockerEnvironment
          : // The trainer is in a container itself, so that paths of its own mean nothing to the daemon.
            remoteDockerEnvironment),
      "docs/decisions.md#d-32",
    ),
    ...row(
      "HARBOR_ENVIRONMENT_FORCE_BUILD",
      agent.environment_force_build ?? true,
      "harbor_agent.environment_force_build",
    ),
    ...harborVariables(settings),
  ];
}
