import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { Certificates } from "../../preflight/docker/engine.ts";
import type { DockerHost } from "../../plan/docker/index.ts";

/** Secrets of the stack with which Pulumi reaches the daemon. */
export interface DaemonSecrets {
  readonly dockerCa?: pulumi.Output<string> | undefined;
  readonly dockerCert?: pulumi.Output<string> | undefined;
  readonly dockerKey?: pulumi.Output<string> | undefined;
  /** Docker's own config.json, with which the daemon pulls images that are not there. */
  readonly registryCredentials?: pulumi.Output<string> | undefined;
}

/** The one daemon of a stack; named, so that no command hits whatever $DOCKER_HOST says. */
export function connect(
  { host }: DockerHost,
  { dockerCa, dockerCert, dockerKey, registryCredentials }: DaemonSecrets,
): docker.Provider {
  return new docker.Provider("docker", {
    host,
    ...(dockerCa && dockerCert && dockerKey
      ? { caMaterial: dockerCa, certMaterial: dockerCert, keyMaterial: dockerKey }
      : {}),
    ...(registryCredentials ? { registryAuth: registryCredentials.apply(authorizations) } : {}),
  });
}

/** One for each registry in a config.json. */
function authorizations(configFileContent: string): docker.types.input.ProviderRegistryAuth[] {
  const { auths } = parse(configFileContent);
  if (typeof auths !== "object" || auths === null) {
    throw new pulumi.RunError(
      "the stack secret registryCredentials is no config.json of Docker: it has no object auths. Store one: pulumi config set --secret swe-rl:registryCredentials < ~/.docker/config.json",
    );
  }
  return Object.keys(auths).map((address) => ({ address, configFileContent }));
}

function parse(text: string): { auths?: unknown } {
  try {
    return JSON.parse(text) as { auths?: unknown };
  } catch {
    return {};
  }
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
