import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { programDirectory } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";

/** What `runtime/recorder/discover_rollouts.py` must know, beside Ray's token. */
export interface DiscoveryArgs {
  /** Address of Ray's job API, which discovery asks for the rollout servers. */
  jobsUrl: pulumi.Input<string>;
  /** Ray namespace of the run's actors. */
  rayNamespace: string;
  /** Rollout servers that must answer. */
  rolloutServers: number;
  /** GPUs that the run waits for, so that discovery can say so. @default it says nothing of them */
  gpus?: number;
  /** Where the table of their addresses is written. @default nowhere */
  table?: string;
  /** Minutes until every rollout server must answer. */
  rolloutMinutes: number;
}

/** Minutes that what stands before the rollout servers may take to be ready, image and all. */
export const serviceMinutes = 10;

/** Its variables. */
export function discoveryVariables(args: DiscoveryArgs): Record<string, pulumi.Input<string>> {
  return {
    RAY_JOBS_URL: args.jobsUrl,
    RAY_NAMESPACE: args.rayNamespace,
    ROLLOUT_SERVERS: String(args.rolloutServers),
    LIST_PROGRAM: `${programDirectory}/list_rollouts.py`,
    ...(args.gpus === undefined ? {} : { RAY_GPUS: String(args.gpus) }),
    ...(args.table === undefined ? {} : { ROLLOUT_TABLE: args.table }),
    DISCOVERY_TIMEOUT_SECONDS: String(args.rolloutMinutes * 60),
  };
}

/** The same and the token, as a container on a cluster takes them. */
export function discoveryEnvironment(
  args: DiscoveryArgs & { rayToken: SecretKey },
): k8s.types.input.core.v1.EnvVar[] {
  const variables = Object.entries(discoveryVariables(args));
  return [
    fromSecret("RAY_AUTH_TOKEN", args.rayToken),
    ...variables.map(([name, value]) => ({ name, value })),
  ];
}
