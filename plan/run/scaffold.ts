import type { Basis } from "../host.ts";
import type { Scaffold as ScaffoldName } from "../../config/schema/harbor.ts";
import { isImageName } from "../../config/schema/recipes.ts";

/** The agent in the sandbox, and what must be in step with it. */
export interface Scaffold {
  readonly name: ScaffoldName;
  /** Harbor's registry name; null: Harbor takes the import path. */
  readonly agentName: string | null;
  readonly importPath: string;
  readonly runtimeImage: string;
  readonly mountPath: string;
  readonly imageSubpath: string;
  /** Version of the agent in the runtime image; undefined for an image that we do not know. */
  readonly version: string | undefined;
  /** File of the agent-loop configuration. */
  readonly loopConfig: string;
  readonly toolCallParser: string;
}

type Preset = Omit<Scaffold, "name" | "imageSubpath" | "toolCallParser">;

/** What the original system ships for each scaffold: docs/decisions.md#scaffolds. */
const presets: Readonly<Record<Exclude<ScaffoldName, "custom">, Preset>> = {
  "claude-code": {
    agentName: "claude-code", // D-24
    importPath: "harbor_patch.agents.image_mounted_claude_code:ClaudeCode",
    runtimeImage: "docker.io/jierun/c-cc-2.1.118:v0.1",
    mountPath: "/opt/custom-agent-runtime/claude-code",
    version: "2.1.118",
    loopConfig: "agent_loop_config_cc.yaml",
  },
  "openhands-sdk": {
    agentName: null,
    importPath: "harbor.agents.custom.openhands_sdk:CustomOpenHandsSDK",
    runtimeImage: "docker.io/jierun/c-oh-sdk-1.33.0:v0.1",
    mountPath: "/opt/custom-agent-runtime/oh-sdk",
    version: "1.33.0",
    loopConfig: "agent_loop_config_oh.yaml",
  },
  openhands: {
    agentName: null,
    importPath: "harbor_patch.agents.image_mounted_openhands_ai.openhands:OpenHands",
    runtimeImage: "yuantao428/harbor-openhands-ai-runtime:0.50.0",
    mountPath: "/opt/custom-agent-runtime/openhands-ai",
    version: "0.50.0",
    loopConfig: "agent_loop_config_oh.yaml",
  },
  opencode: {
    // With a name, Harbor would take its own class of that name instead of the import path.
    agentName: null,
    importPath: "harbor_patch.agents.image_mounted_opencode:OpenCode",
    runtimeImage: "docker.io/jierun/c-oc-1.14.22:v0.1",
    mountPath: "/opt/custom-agent-runtime/opencode",
    version: "1.14.22",
    loopConfig: "agent_loop_config_oh.yaml",
  },
};

export function planScaffold(settings: Basis): Scaffold {
  const { harbor_agent: agent } = settings.experiment;
  const name = agent.scaffold ?? scaffoldOf(agent.agent_import_path);
  const preset = name === "custom" ? undefined : presets[name];
  const runtimeImage =
    agent.runtime_image ?? builtRuntime(settings, name) ?? preset?.runtimeImage ?? "";
  const mountPath = agent.runtime_mount_path ?? preset?.mountPath ?? "";
  const agentName = agent.agent_name === undefined ? preset?.agentName : agent.agent_name;
  return {
    name,
    agentName: agentName ?? null,
    importPath: agent.agent_import_path ?? preset?.importPath ?? "",
    runtimeImage,
    mountPath,
    imageSubpath: agent.runtime_image_subpath ?? mountPath.slice(1),
    version: runtimeImage === preset?.runtimeImage ? preset.version : undefined,
    loopConfig: preset?.loopConfig ?? presets["claude-code"].loopConfig,
    toolCallParser:
      settings.experiment.verl.tool_call_parser ??
      settings.modelFacts?.tool_call_parser[name] ??
      "",
  };
}

/** Where the site builds, what our own agent loop is tried with; the fork's scaffolds have images of their own. */
function builtRuntime({ experiment, host }: Basis, name: ScaffoldName): string | undefined {
  if (experiment.verl.distribution !== "stock" || !isImageName(name)) return undefined;
  return host.builds?.[name].reference;
}

/** Original files name the class and not the scaffold. */
export function scaffoldOf(importPath: string | undefined): ScaffoldName {
  if (importPath === undefined) return "claude-code";
  const known = Object.entries(presets).find(([, preset]) => preset.importPath === importPath);
  return (known?.[0] as ScaffoldName | undefined) ?? "custom";
}
