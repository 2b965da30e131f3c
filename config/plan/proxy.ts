import type { Settings } from "../load.ts";
import { bytesOf } from "../schema/scalars.ts";
import type { Topology } from "./topology.ts";

/** Seconds that one model call may take: a long response at a busy server. */
const callTimeoutSeconds = 1800;

/** LiteLLM's configuration without the addresses of the rollout servers, which discovery adds. */
export interface LiteLlmTemplate {
  /** Names under which every rollout server is listed. */
  readonly modelNames: readonly string[];
  /** What LiteLLM calls the backend with; `hosted_vllm/` keeps Claude Code on chat completions. */
  readonly backendModel: string;
  readonly settings: {
    readonly router_settings: Readonly<Record<string, unknown>>;
    readonly litellm_settings: Readonly<Record<string, unknown>>;
    readonly general_settings: Readonly<Record<string, unknown>>;
  };
}

export interface Proxy {
  readonly mode: "litellm";
  readonly image: string;
  readonly port: number;
  readonly replicas: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Model names that clients may use. */
  readonly aliases: readonly string[];
  /** Rollout servers that must answer before the proxy starts. */
  readonly rolloutServers: number;
  readonly litellm: LiteLlmTemplate;
}

export function planProxy({ experiment, site }: Settings, topology: Topology): Proxy {
  const served = experiment.model.served_model_name;
  const hosted = `hosted_vllm/${served}`;
  return {
    mode: "litellm",
    image: site.images.litellm,
    port: experiment.infrastructure.litellm_port,
    replicas: experiment.proxy.replicas,
    cpus: experiment.proxy.cpus,
    memoryBytes: bytesOf(experiment.proxy.memory),
    aliases: ["claude-*", hosted, served],
    rolloutServers: topology.rolloutServers,
    litellm: {
      // A wildcard works only as a model name; in model_group_alias it would match literally.
      modelNames: [served, "claude-*"],
      backendModel: hosted,
      settings: {
        router_settings: {
          routing_strategy: "simple-shuffle",
          model_group_alias: { [hosted]: served },
          // One trial stays on one server, so that its prefix cache is used.
          optional_pre_call_checks: ["session_affinity"],
          deployment_affinity_ttl_seconds: 7200,
          num_retries: 2,
          retry_after: 0,
          allowed_fails: 1,
          cooldown_time: 30,
          timeout: callTimeoutSeconds,
          stream_timeout: callTimeoutSeconds,
        },
        litellm_settings: { drop_params: true, telemetry: false },
        general_settings: {
          master_key: "os.environ/LITELLM_MASTER_KEY",
          custom_auth: "sandbox_auth.check",
        },
      },
    },
  };
}
