import type { DockerHost } from "../../plan/docker/index.ts";
import { programDirectory } from "../runtime-program.ts";

/** What every sandbox has, by `runtime/docker/sandbox_docker.py`, and the egress proof with them. */
export const sandboxBounds = {
  dns: ["192.0.2.1"],
  dnsOpts: ["attempts:1", "timeout:1"],
  capabilities: { drops: ["CAP_MKNOD", "CAP_NET_RAW"] },
};

/** The command that Harbor takes for docker, before the real one in the search path. */
const wrapper = `${programDirectory}/bin/docker`;

/** What brings Harbor's sandboxes into the sandbox network, whatever Harbor's version: see `runtime/docker/sandbox_docker.py`. */
export function sandboxFiles(
  host: DockerHost,
  {
    stack,
    deadlineSeconds,
    memoryLimitBytes,
  }: { stack: string; deadlineSeconds: number; memoryLimitBytes: number },
): {
  files: Record<string, string>;
  environment: Record<string, string>;
} {
  const { agentRuntime, networks } = host;
  const rules = {
    network: networks.sandbox.name,
    stack,
    deadlineSeconds,
    memoryLimitBytes,
    runtime: { volume: agentRuntime.volume, path: agentRuntime.path },
  };
  const rulesFile = `${programDirectory}/sandbox-rules.json`;
  return {
    files: {
      [rulesFile]: JSON.stringify(rules),
      [wrapper]: `#!/bin/sh\nexec python3 ${programDirectory}/sandbox_docker.py "$@"\n`,
    },
    environment: { SANDBOX_RULES: rulesFile },
  };
}
