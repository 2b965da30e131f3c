import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { programDirectory } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";

/** What `runtime/recorder/discover_rollouts.py` must know. */
export interface DiscoveryArgs {
  /** Address of Ray's job API, which discovery asks for the rollout servers. */
  jobsUrl: pulumi.Input<string>;
  rayToken: SecretKey;
  /** Ray namespace of the run's actors. */
  rayNamespace: string;
  /** Rollout servers that must answer. */
  rolloutServers: number;
  /** Where the table of their addresses is written. @default nowhere */
  table?: string;
  /** Minutes until every rollout server must answer. */
  rolloutMinutes: number;
}

/** Its variables. */
export function discoveryEnvironment(args: DiscoveryArgs): k8s.types.input.core.v1.EnvVar[] {
  return [
    { name: "RAY_JOBS_URL", value: args.jobsUrl },
    fromSecret("RAY_AUTH_TOKEN", args.rayToken),
    { name: "RAY_NAMESPACE", value: args.rayNamespace },
    { name: "ROLLOUT_SERVERS", value: String(args.rolloutServers) },
    { name: "LIST_PROGRAM", value: `${programDirectory}/list_rollouts.py` },
    ...(args.table === undefined ? [] : [{ name: "ROLLOUT_TABLE", value: args.table }]),
    { name: "DISCOVERY_TIMEOUT_SECONDS", value: String(args.rolloutMinutes * 60) },
  ];
}
