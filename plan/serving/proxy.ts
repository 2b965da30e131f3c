import type { Basis } from "../host.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import type { Names } from "../names.ts";
import { type Requests, requestsOf } from "../requests.ts";
import type { Batches, Topology } from "../run/index.ts";

/** Seconds that one model call may take: a long response at a busy server. */
const callTimeoutSeconds = 1800;

/** LiteLLM's configuration file. */
export interface LiteLlmConfiguration {
  /** One entry for each name and rollout server. */
  readonly model_list: readonly {
    readonly model_name: string;
    readonly litellm_params: Readonly<Record<string, string>>;
    readonly model_info: { readonly id: string };
  }[];
  readonly router_settings: Readonly<Record<string, unknown>>;
  readonly litellm_settings: Readonly<Record<string, unknown>>;
  readonly general_settings: Readonly<Record<string, unknown>>;
}

/** What stands between LiteLLM and the rollout servers, follows them and records every call. */
export interface Recorder {
  readonly port: number;
  /** Base URL inside the cluster; rollout server i is `<url>/servers/<i>/v1`. */
  readonly url: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Most tokens that one call may sample. */
  readonly callTokens: number;
  /** Of the init container that finds the rollout servers. */
  readonly discoveryRequests: Requests;
}

export interface Proxy {
  readonly mode: "litellm";
  readonly image: string;
  readonly port: number;
  readonly replicas: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Of the init container that waits for the recorder. */
  readonly waitRequests: Requests;
  /** Model names that clients may use. */
  readonly aliases: readonly string[];
  /** Rollout servers that must answer before the recorder and the proxy start. */
  readonly rolloutServers: number;
  readonly litellm: LiteLlmConfiguration;
  readonly recorder: Recorder;
}

/** It is one process; a second CPU is for the thread that writes. */
const recorderCpus = 2;

/** Running calls are held until they end: 192 answers of 68,000 tokens are 1 GiB with their requests. */
const recorderMemoryBytes = 4 * 2 ** 30;

export function planProxy(
  { experiment, host }: Basis,
  { names, topology, batches }: { names: Names; topology: Topology; batches: Batches },
): Proxy {
  const served = experiment.model.served_model_name;
  const hosted = `hosted_vllm/${served}`;
  const { recorder_port: recorderPort } = experiment.proxy;
  const recorderUrl = `http://${names.recorder}.${names.namespaces.train}:${recorderPort}`;
  const servers = Array.from({ length: topology.rolloutServers }, (_, index) => index);
  return {
    mode: "litellm",
    image: host.images.litellm,
    port: experiment.infrastructure.litellm_port,
    // A host that fails takes every container with it: a second one would be no help.
    replicas: host.docker ? 1 : experiment.proxy.replicas,
    cpus: experiment.proxy.cpus,
    memoryBytes: bytesOf(experiment.proxy.memory),
    waitRequests: requestsOf(100, { memory: 64, limit: 256 }),
    aliases: ["claude-*", hosted, served],
    rolloutServers: topology.rolloutServers,
    litellm: {
      // A wildcard works only as a model name; in model_group_alias it would match literally.
      model_list: ["", "claude-"].flatMap((prefix) =>
        servers.map((server) => ({
          model_name: prefix === "" ? served : `${prefix}*`,
          litellm_params: {
            // `hosted_vllm/` keeps Claude Code on chat completions.
            model: hosted,
            api_base: `${recorderUrl}/servers/${server}/v1`,
            // verl's rollout servers ask for no key; LiteLLM must send something.
            api_key: "none",
          },
          model_info: { id: `${prefix}vllm-server-${server}` },
        })),
      ),
      router_settings: {
        routing_strategy: "simple-shuffle",
        model_group_alias: { [hosted]: served },
        // One trial stays on one server, so that its prefix cache is used.
        optional_pre_call_checks: ["session_affinity"],
        deployment_affinity_ttl_seconds: 7200,
        num_retries: 2,
        retry_after: 0,
        // The recorder knows which servers are up, refuses a call to one that is not at once, and takes its repetition to
        // another. A cool-down here would only refuse calls when all are back, with 429, until it has run out.
        disable_cooldowns: true,
        timeout: callTimeoutSeconds,
        stream_timeout: callTimeoutSeconds,
      },
      litellm_settings: {
        drop_params: true,
        telemetry: false,
        callbacks: "call_headers.hook",
      },
      general_settings: {
        master_key: "os.environ/LITELLM_MASTER_KEY",
        custom_auth: "sandbox_auth.check",
      },
    },
    recorder: {
      port: recorderPort,
      url: recorderUrl,
      cpus: recorderCpus,
      memoryBytes: recorderMemoryBytes,
      callTokens: batches.callTokens,
      discoveryRequests: requestsOf(100, { memory: 64, limit: 256 }),
    },
  };
}
