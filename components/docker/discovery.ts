import { programDirectory } from "../runtime-program.ts";

/** What `runtime/recorder/discover_rollouts.py` must know, beside Ray's token. */
export interface DiscoveryArgs {
  /** Address of Ray's job API, which discovery asks for the rollout servers. */
  readonly jobsUrl: string;
  /** Ray namespace of the run's actors. */
  readonly rayNamespace: string;
  /** Rollout servers that must answer. */
  readonly rolloutServers: number;
  /** Minutes until they must. */
  readonly rolloutMinutes: number;
}

/** Its variables. */
export function discoveryVariables(args: DiscoveryArgs): Record<string, string> {
  return {
    RAY_JOBS_URL: args.jobsUrl,
    RAY_NAMESPACE: args.rayNamespace,
    ROLLOUT_SERVERS: String(args.rolloutServers),
    LIST_PROGRAM: `${programDirectory}/list_rollouts.py`,
    DISCOVERY_TIMEOUT_SECONDS: String(args.rolloutMinutes * 60),
  };
}
