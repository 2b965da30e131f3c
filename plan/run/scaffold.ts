import type { Settings } from "../../config/load/load.ts";
import type { Scaffold as ScaffoldName } from "../../config/schema/harbor.ts";
import type { Problems } from "../problems.ts";

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

/** Domain 7.5. */
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

export function planScaffold(settings: Settings, problems: Problems): Scaffold {
  const { harbor_agent: agent } = settings.experiment;
  const name = agent.scaffold ?? scaffoldOf(agent.agent_import_path);
  const preset = name === "custom" ? undefined : presets[name];
  if (!preset) demandCustomSettings(settings, problems);
  checkImportPath(name, agent.agent_import_path, problems);
  const runtimeImage = agent.runtime_image ?? preset?.runtimeImage ?? "";
  const mountPath = agent.runtime_mount_path ?? preset?.mountPath ?? "";
  const agentName = agent.agent_name === undefined ? preset?.agentName : agent.agent_name;
  checkName(name, agentName ?? null, problems);
  return {
    name,
    agentName: agentName ?? null,
    importPath: agent.agent_import_path ?? preset?.importPath ?? "",
    runtimeImage,
    mountPath,
    imageSubpath: agent.runtime_image_subpath ?? mountPath.slice(1),
    version: runtimeImage === preset?.runtimeImage ? preset.version : undefined,
    loopConfig: preset?.loopConfig ?? presets["claude-code"].loopConfig,
    toolCallParser: planToolCallParser(settings, name, problems),
  };
}

/** Original files name the class and not the scaffold. */
function scaffoldOf(importPath: string | undefined): ScaffoldName {
  if (importPath === undefined) return "claude-code";
  const known = Object.entries(presets).find(([, preset]) => preset.importPath === importPath);
  return (known?.[0] as ScaffoldName | undefined) ?? "custom";
}

function checkImportPath(
  name: ScaffoldName,
  importPath: string | undefined,
  problems: Problems,
): void {
  const other = scaffoldOf(importPath);
  if (importPath === undefined || other === name || other === "custom") return;
  problems.error(
    "scaffold-class",
    ["harbor_agent", "agent_import_path"],
    `is that of ${other}, but harbor_agent.scaffold is ${name}: its image and its tool calls would not fit. Change one of the two.`,
  );
}

function demandCustomSettings({ experiment }: Settings, problems: Problems): void {
  const { harbor_agent: agent, trainer } = experiment;
  for (const key of ["agent_import_path", "runtime_image", "runtime_mount_path"] as const) {
    if (agent[key] !== undefined) continue;
    problems.error(
      "scaffold-custom",
      ["harbor_agent", key],
      "is not set, and a custom scaffold has no default. Set it.",
    );
  }
  if (trainer.agent_loop_config === undefined) {
    problems.error(
      "scaffold-custom",
      ["trainer", "agent_loop_config"],
      "is not set, and a custom scaffold has no default: name the agent-loop configuration in the training image that drives it.",
    );
  }
}

function checkName(name: ScaffoldName, agentName: string | null, problems: Problems): void {
  if ((name !== "openhands" && name !== "openhands-sdk") || agentName === null) return;
  problems.error(
    "C-23",
    ["harbor_agent", "agent_name"],
    `is ${agentName}, but the scaffold ${name} needs null: with a name Harbor installs the agent inside the sandbox, which has no way out, and every trial fails. Set it to null, or leave it out.`,
  );
}

function planToolCallParser(
  { experiment, modelFacts }: Settings,
  scaffold: ScaffoldName,
  problems: Problems,
): string {
  const wanted = experiment.verl.tool_call_parser;
  const fitting = modelFacts?.tool_call_parser[scaffold];
  const path = ["verl", "tool_call_parser"];
  if (wanted !== undefined && fitting !== undefined && wanted !== fitting) {
    problems.error(
      "C-22",
      path,
      `is ${wanted}, but this model with ${scaffold} emits what ${fitting} parses (config/models.yaml): no tool call would be understood, and the first update fails for want of a valid token. Leave it out.`,
    );
  }
  if (wanted === undefined && fitting === undefined) {
    problems.error(
      "C-22",
      path,
      `is not set, and config/models.yaml has none for this model with ${scaffold}: with the wrong parser no tool call is understood, and the first update fails for want of a valid token. Set it to the format of the model's chat template, for example qwen3_coder or hermes.`,
    );
  }
  return wanted ?? fitting ?? "";
}
