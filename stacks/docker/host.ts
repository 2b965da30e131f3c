import * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../../preflight/docker/engine.ts";
import type { DockerHost } from "../../config/plan/docker/host.ts";

/** Secrets of the stack with which Pulumi reaches the daemon. */
export interface DaemonSecrets {
  readonly dockerCa?: pulumi.Output<string> | undefined;
  readonly dockerCert?: pulumi.Output<string> | undefined;
  readonly dockerKey?: pulumi.Output<string> | undefined;
}

/** The one daemon of a stack; named, so that no command hits whatever $DOCKER_HOST says. */
export function connect(
  { host }: DockerHost,
  { dockerCa, dockerCert, dockerKey }: DaemonSecrets,
): docker.Provider {
  return new docker.Provider("docker", {
    host,
    ...(dockerCa && dockerCert && dockerKey
      ? { caMaterial: dockerCa, certMaterial: dockerCert, keyMaterial: dockerKey }
      : {}),
  });
}

/** The certificates for preflight, which asks the daemon itself. */
export async function certificates({
  dockerCa,
  dockerCert,
  dockerKey,
}: DaemonSecrets): Promise<Certificates | undefined> {
  if (!dockerCa || !dockerCert || !dockerKey) return undefined;
  const [ca, cert, key] = await Promise.all([dockerCa, dockerCert, dockerKey].map(valueOf));
  return ca && cert && key ? { ca, cert, key } : undefined;
}

function valueOf(secret: pulumi.Output<string>): Promise<string> {
  return new Promise((resolve) => {
    secret.apply(resolve);
  });
}
