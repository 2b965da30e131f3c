/** Rules about the agent in the sandbox. */
import { scaffoldOf } from "../plan/run/index.ts";
import { defineRule, noPlan } from "./rule.ts";

export const scaffoldClass = defineRule({
  id: "scaffold-class",
  title: "the agent's class is the scaffold's",
  severity: "fatal",
  consequence: "its image and its tool calls do not fit",
  remedy: "change harbor_agent.scaffold or harbor_agent.agent_import_path",
  source: "docs/decisions.md#scaffolds",
  unwaivable: noPlan,
  *check({ settings: { experiment }, plan: { scaffold } }) {
    const { agent_import_path: importPath } = experiment.harbor_agent;
    const other = scaffoldOf(importPath);
    if (importPath === undefined || other === scaffold.name || other === "custom") return;
    yield {
      path: ["harbor_agent", "agent_import_path"],
      found: `is that of ${other}, but harbor_agent.scaffold is ${scaffold.name}`,
    };
  },
});

export const customScaffold = defineRule({
  id: "scaffold-custom",
  title: "a custom scaffold is spelled out",
  severity: "fatal",
  consequence: "the agent could neither be mounted nor started",
  remedy: "set it",
  source: "docs/decisions.md#scaffolds",
  unwaivable: noPlan,
  *check({ settings: { experiment }, plan: { scaffold } }) {
    if (scaffold.name !== "custom") return;
    const { harbor_agent: agent, trainer } = experiment;
    for (const key of ["agent_import_path", "runtime_image", "runtime_mount_path"] as const) {
      if (agent[key] !== undefined) continue;
      yield {
        path: ["harbor_agent", key],
        found: "is not set, and a custom scaffold has no default",
      };
    }
    if (trainer.agent_loop_config === undefined) {
      yield {
        path: ["trainer", "agent_loop_config"],
        found: "is not set, and a custom scaffold has no default",
        remedy: "name the agent-loop configuration in the training image that drives it",
      };
    }
  },
});

export const toolCallParser = defineRule({
  id: "C-22",
  title: "the tool-call parser understands what the model writes",
  severity: "fatal",
  consequence: "vLLM recognizes no tool call, and the first update fails without a valid token",
  remedy: "leave verl.tool_call_parser out; config/models.yaml has the parsers",
  source: "docs/decisions.md#c-22",
  *check({ settings: { experiment, modelFacts }, plan: { scaffold } }) {
    const wanted = experiment.verl.tool_call_parser;
    const fitting = modelFacts?.tool_call_parser[scaffold.name];
    const path = ["verl", "tool_call_parser"];
    if (wanted !== undefined && fitting !== undefined && wanted !== fitting) {
      yield {
        path,
        found: `is ${wanted}, but this model with ${scaffold.name} writes what ${fitting} parses (config/models.yaml)`,
        remedy: "leave it out",
      };
    }
    if (wanted === undefined && fitting === undefined) {
      yield {
        path,
        found: `is not set, and config/models.yaml has none for this model with ${scaffold.name}`,
        remedy:
          "set it to the format of the model's chat template, for example qwen3_coder or hermes",
      };
    }
  },
});

export const agentName = defineRule({
  id: "C-23",
  title: "OpenHands is found by its import path alone",
  severity: "fatal",
  consequence:
    "Harbor installs the agent inside the sandbox, which has no way out, and every trial fails",
  remedy: "set harbor_agent.agent_name to null, or leave it out",
  source: "docs/decisions.md#c-23",
  *check({ plan: { scaffold } }) {
    const { name, agentName: found } = scaffold;
    if ((name !== "openhands" && name !== "openhands-sdk") || found === null) return;
    yield {
      path: ["harbor_agent", "agent_name"],
      found: `is ${found}, but the scaffold ${name} needs null`,
    };
  },
});
