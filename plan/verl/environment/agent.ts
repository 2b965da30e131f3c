import type { Basis } from "../../host.ts";
import type { Batches, Scaffold } from "../../run/index.ts";
import { noSetting, row } from "./row.ts";
import type { EnvironmentInputs, EnvironmentVariable } from "./types.ts";

/** How a trial's agent runs, whatever drives it. */
export function trialVariables(
  { experiment }: Basis,
  { scaffold }: EnvironmentInputs,
): EnvironmentVariable[] {
  const { harbor_agent: agent } = experiment;
  const from = (key: string) => `harbor_agent.${key}`;
  return [
    ...row("HARBOR_AGENT_RUNTIME_IMAGE", scaffold.runtimeImage, from("runtime_image")),
    ...row("HARBOR_AGENT_RUNTIME_MOUNT_PATH", scaffold.mountPath, from("runtime_mount_path")),
    ...row(
      "HARBOR_AGENT_RUNTIME_IMAGE_SUBPATH",
      scaffold.imageSubpath,
      from("runtime_image_subpath"),
    ),
    ...row("HARBOR_AGENT_MAX_ITERATIONS", agent.max_iterations, from("max_iterations")),
    ...row("HARBOR_MAX_RETRIES", agent.max_retries, from("max_retries")),
    ...row("HARBOR_AGENT_MAX_TIMEOUT_SEC", agent.max_timeout_sec, from("max_timeout_sec")),
    ...row(
      "HARBOR_AGENT_OVERRIDE_TIMEOUT_SEC",
      agent.override_timeout_sec,
      from("override_timeout_sec"),
    ),
    ...row("HARBOR_AGENT_TEMPERATURE", agent.temperature, from("temperature")),
    ...row("HARBOR_VERIFIER_ENABLED", agent.verifier_enabled, from("verifier_enabled")),
    ...row(
      "HARBOR_AGENT_SETUP_TIMEOUT_MULTIPLIER",
      agent.agent_setup_timeout_multiplier,
      from("agent_setup_timeout_multiplier"),
    ),
    ...row(
      "HARBOR_AGENT_TIMEOUT_MULTIPLIER",
      agent.agent_timeout_multiplier,
      from("agent_timeout_multiplier"),
    ),
    ...row(
      "HARBOR_VERIFIER_TIMEOUT_MULTIPLIER",
      agent.verifier_timeout_multiplier,
      from("verifier_timeout_multiplier"),
    ),
    ...row(
      "HARBOR_VAL_AGENT_MAX_TIMEOUT_SEC",
      agent.val_max_timeout_sec,
      from("val_max_timeout_sec"),
    ),
    ...row("HARBOR_VAL_MAX_RETRIES", 2, "docs/decisions.md#c-19"),
  ];
}

/** What the fork's agent loop reads of the agent besides. */
export function forkAgentVariables(
  { experiment }: Basis,
  { scaffold, batches }: EnvironmentInputs,
): EnvironmentVariable[] {
  const { harbor_agent: agent } = experiment;
  const from = (key: string) => `harbor_agent.${key}`;
  return [
    ...row("HARBOR_AGENT_NAME", scaffold.agentName ?? "null", from("agent_name")),
    ...row("HARBOR_AGENT_IMPORT_PATH", scaffold.importPath, from("agent_import_path")),
    ...row("HARBOR_AGENT_VERSION", scaffold.version, from("scaffold")),
    ...runtimeVariables(scaffold),
    ...(scaffold.name.startsWith("openhands") ? modelInfo(batches) : []),
    ...row("HARBOR_AGENT_DISABLE_TOOL_CALLS", agent.disable_tool_calls, from("disable_tool_calls")),
    ...row(
      "HARBOR_MAX_CONSECUTIVE_NO_TOOL",
      agent.max_consecutive_no_tool,
      from("max_consecutive_no_tool"),
    ),
  ];
}

/** Where a scaffold that is mounted as a program finds it. */
function runtimeVariables({ name, mountPath }: Scaffold): EnvironmentVariable[] {
  const from = "harbor_agent.runtime_mount_path";
  const program = (variable: string, file: string) => [
    ...row(`HARBOR_CUSTOM_AGENT_${variable}`, `${mountPath}/bin/${file}`, from),
    ...row("HARBOR_CUSTOM_AGENT_RUNTIME_ENV_SCRIPT", `${mountPath}/runtime-env.sh`, from),
  ];
  switch (name) {
    case "claude-code":
      return program("CLAUDE", "claude");
    case "opencode":
      return program("OPENCODE", "opencode");
    case "openhands":
    case "openhands-sdk":
    case "custom":
      return [];
  }
}

/** Without its limits LiteLLM inside the agent trims prompts to about 4k tokens. */
function modelInfo({ agentWindow, callTokens }: Batches): EnvironmentVariable[] {
  const limits = { max_input_tokens: agentWindow, max_output_tokens: callTokens };
  return row("HARBOR_AGENT_MODEL_INFO", JSON.stringify(limits), callBound);
}

/** Source of the bound on one call, and of the window that an agent is told. */
export const callBound = "harbor_agent.max_call_tokens; docs/decisions.md#calls-of-agents";

/** Variables from which a scaffold of the fork reads the address of the policy. */
export function modelAccessVariables(
  settings: Basis,
  { scaffold, batches }: EnvironmentInputs,
): EnvironmentVariable[] {
  const isLiteLlm = settings.experiment.proxy.mode === "litellm";
  switch (scaffold.name) {
    case "claude-code":
      return [...claudeCodeAccess(settings, isLiteLlm), ...claudeCodeBounds(batches)];
    case "opencode":
      return openCodeAccess(settings, { isLiteLlm, batches });
    case "openhands":
    case "openhands-sdk":
      return isLiteLlm ? openAiAccess("LLM_BASE_URL", "LLM_API_KEY") : [];
    case "custom":
      return isLiteLlm
        ? [
            ...claudeCodeAccess(settings, isLiteLlm),
            ...claudeCodeBounds(batches),
            ...openAiAccess("LLM_BASE_URL", "LLM_API_KEY"),
          ]
        : [];
  }
}

/** The original scripts use the plain names, the agent-loop configuration the ones with a prefix. */
function claudeCodeAccess({ experiment }: Basis, isLiteLlm: boolean): EnvironmentVariable[] {
  const served = experiment.model.served_model_name;
  const named = ["", "HARBOR_"].flatMap((prefix): EnvironmentVariable[] => [
    // In process, every trial gets a URL of its own instead.
    ...(isLiteLlm ? access(`${prefix}ANTHROPIC_BASE_URL`, `${prefix}ANTHROPIC_API_KEY`) : []),
    ...row(`${prefix}ANTHROPIC_MODEL`, served, "model.served_model_name"),
  ]);
  return [...named, ...row("CLAUDE_CODE_ATTRIBUTION_HEADER", "0", noSetting)];
}

/** Claude Code takes an unknown model's window as 200000 tokens, and compacts 13000 before it is full. */
function claudeCodeBounds({ agentWindow, callTokens }: Batches): EnvironmentVariable[] {
  return [
    ...row("CLAUDE_CODE_MAX_OUTPUT_TOKENS", callTokens, callBound),
    ...row("CLAUDE_CODE_AUTO_COMPACT_WINDOW", agentWindow, callBound),
  ];
}

function openAiAccess(url: string, key: string): EnvironmentVariable[] {
  return access(url, key, "/v1");
}

function access(url: string, key: string, suffix = ""): EnvironmentVariable[] {
  return [
    { name: url, deferred: "proxyUrl", suffix, source: noSetting },
    { name: key, secret: "sandboxKey", source: noSetting },
  ];
}

function openCodeAccess(
  { experiment }: Basis,
  { isLiteLlm, batches }: { isLiteLlm: boolean; batches: Batches },
): EnvironmentVariable[] {
  const served = experiment.model.served_model_name;
  const temperature = experiment.harbor_agent.temperature;
  return [
    ...(isLiteLlm
      ? [
          ...openAiAccess("HOSTED_VLLM_BASE_URL", "HOSTED_VLLM_API_KEY"),
          ...openAiAccess("HARBOR_OPENAI_BASE_URL", "HARBOR_OPENAI_API_KEY"),
        ]
      : []),
    ...row("OPENCODE_TEMPERATURE", temperature, "harbor_agent.temperature"),
    // The proxy in the agent loop refuses streamed calls.
    ...row("OPENCODE_DISABLE_STREAMING", isLiteLlm ? "false" : "true", "proxy.mode"),
    ...openCodeVariable(served, batches, !isLiteLlm),
  ];
}

/** OpenCode takes its configuration from a variable. */
export function openCodeVariable(
  served: string,
  batches: Batches,
  withoutStreaming: boolean,
): EnvironmentVariable[] {
  return row(
    "HARBOR_OPENCODE_CONFIG_CONTENT",
    JSON.stringify(openCodeConfiguration(served, batches, withoutStreaming)),
    `model.served_model_name; proxy.mode; ${callBound}`,
  );
}

/** OpenCode's configuration: one provider, the policy, which is also the model for its side jobs. */
function openCodeConfiguration(
  served: string,
  { agentWindow, callTokens }: Batches,
  withoutStreaming: boolean,
): object {
  const model = `hosted_vllm/${served}`;
  return {
    $schema: "https://opencode.ai/config.json",
    model,
    small_model: model,
    enabled_providers: ["hosted_vllm"],
    provider: {
      hosted_vllm: {
        npm: "@ai-sdk/openai-compatible",
        name: "Policy",
        options: {
          baseURL: "{env:HOSTED_VLLM_BASE_URL}",
          apiKey: "{env:HOSTED_VLLM_API_KEY}",
          headers: { "x-harbor-temperature": "{env:OPENCODE_TEMPERATURE}" },
          ...(withoutStreaming ? { disableStreaming: true } : {}),
        },
        // Without a limit it takes the window as 0, and never compacts.
        models: { [served]: { name: served, limit: { context: agentWindow, output: callTokens } } },
      },
    },
  };
}
