/** Rules about the agent in the sandbox. */
import { nearest } from "../config/load/suggest.ts";
import { scaffoldOf } from "../plan/run/index.ts";
import { parsersOfBoth, verlToolParser } from "../plan/verl/index.ts";
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

/** Parsers of vLLM (`vllm/tool_parsers/__init__.py`, commit 0064cc9), and `minimax` of older releases. */
const parsers = [
  ...["apertus", "cohere_command3", "cohere_command4", "deepseek_v3", "deepseek_v31"],
  ...["deepseek_v32", "deepseek_v4", "ernie45", "functiongemma", "gemma4", "gigachat3", "glm45"],
  ...["glm47", "granite", "granite-20b-fc", "granite4", "hermes", "hunyuan_a13b", "hy_v3"],
  ...["inkling", "internlm", "jamba", "kimi_k2", "kimi_k3", "lfm2", "llama3_json", "llama4_json"],
  ...["llama4_pythonic", "longcat", "mimo", "minicpm5", "minimax", "minimax_m2", "minimax_m3"],
  ...["mistral", "olmo3", "openai", "phi4_mini_json", "poolside_v1", "pythonic", "qwen3_coder"],
  ...["qwen3_xml", "seed_oss", "solar_open2", "step3", "step3p5", "xlam"],
] as const;

export const knownParser = defineRule({
  id: "tool-parser-known",
  title: "a tool-call parser that vLLM has",
  severity: "fatal",
  consequence: "vLLM refuses to start",
  remedy: "name one of vLLM's parsers, or waive this rule where the image registers its own",
  source: "https://docs.vllm.ai/en/stable/features/tool_calling/",
  *check({ settings: { experiment } }) {
    const named = [
      { path: ["verl", "tool_call_parser"], parser: experiment.verl.tool_call_parser },
      ...experiment.serving.map(({ tool_call_parser: parser }, i) => ({
        path: ["serving", i, "tool_call_parser"],
        parser,
      })),
    ];
    for (const { path, parser } of named) {
      if (parser === undefined || parsers.some((known) => known === parser)) continue;
      const meant = nearest(parser, parsers);
      yield {
        path,
        found: `is ${parser}, which is none of vLLM's parsers`,
        ...(meant === undefined ? {} : { remedy: `did you mean ${meant}?` }),
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
    const others = Object.values(modelFacts?.tool_call_parser ?? {});
    if (wanted !== undefined && fitting === undefined && !others.includes(wanted)) {
      yield {
        severity: "unknown",
        path,
        found: `is ${wanted}, and config/models.yaml does not say what this model writes with ${scaffold.name}`,
        remedy: "compare it with the chat template of the model, and add it to config/models.yaml",
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

/** Names that Harbor 0.26.0 finds in its registry before it looks at the import path (`harbor/models/agent/name.py`). */
const registered = [
  ...["acp", "aider", "antigravity-cli", "antigravity-sdk", "claude-code", "cline-cli"],
  ...["code-puppy", "codex", "computer-1", "copilot-cli", "cortex-code", "cursor-cli"],
  ...["deerflow", "devin", "dspy-rlm", "eve", "fabric", "fx"],
  ...["fx-dev", "gemini-cli", "goose", "grok-build", "hermes", "junie"],
  ...["kimi-cli", "kimi-code", "langgraph", "mcode", "mimo", "mini-swe-agent"],
  ...["muse-code", "nemo-agent", "nop", "openclaw", "opencode", "opencode-v2"],
  ...["openhands", "openhands-sdk", "oracle", "pi", "qwen-coder", "rovodev-cli"],
  ...["strands", "swe-agent", "terminus", "terminus-1", "terminus-2", "trae-agent"],
  ...["vibe"],
];

export const agentName = defineRule({
  id: "C-23",
  title: "the agent is found by its import path",
  severity: "fatal",
  consequence:
    "Harbor installs the agent inside the sandbox, which has no way out, and every trial fails",
  remedy: "set harbor_agent.agent_name to null, or leave it out",
  source: "docs/decisions.md#c-23",
  *check({ plan: { scaffold } }) {
    const { name, agentName: found } = scaffold;
    if (found === null) return;
    const path = ["harbor_agent", "agent_name"];
    if (name === "custom") {
      if (!registered.includes(found)) return;
      yield {
        path,
        found: `is ${found}, which Harbor's registry has, so that agent_import_path is never read`,
      };
    } else if (name !== "claude-code" || found !== "claude-code") {
      const wanted = name === "claude-code" ? "claude-code or null" : "null";
      yield { path, found: `is ${found}, but the scaffold ${name} needs ${wanted}` };
    }
  },
});

export const agentLoop = defineRule({
  id: "agent-loop",
  title: "the agent loop is the scaffold's",
  severity: "fatal",
  consequence: "the loop drives another agent than the one in the sandbox, and every trial fails",
  remedy: "leave trainer.agent_loop_config out",
  source: "docs/decisions.md#scaffolds",
  *check({ settings: { experiment }, plan: { scaffold } }) {
    const { agent_loop_config: wanted } = experiment.trainer;
    if (wanted === undefined || scaffold.name === "custom") return;
    const file = wanted.split("/").at(-1) ?? "";
    if (!/^agent_loop_config_(cc|oh)\.yaml$/.test(file) || file === scaffold.loopConfig) return;
    yield {
      path: ["trainer", "agent_loop_config"],
      found: `is ${file}, but the scaffold ${scaffold.name} is driven by ${scaffold.loopConfig}`,
    };
  },
});

/** Scaffolds that the loop of `training/` drives (training/src/swe_rl_training/agents.py). */
const ownScaffolds = ["claude-code", "opencode", "openhands-sdk"];

export const stockLoop = defineRule({
  id: "stock-loop",
  title: "what the agent loop of this project can do, with the released verl",
  severity: "fatal",
  consequence: "every trial would fail",
  remedy: "use verl.distribution fork",
  source: "docs/training-image.md",
  *check({ settings: { experiment }, plan: { scaffold, topology } }) {
    const { verl, proxy, harbor_agent: agent, harbor_runtime: runtime } = experiment;
    if (verl.distribution !== "stock") return;
    if (!ownScaffolds.includes(scaffold.name)) {
      yield {
        path: ["harbor_agent", "scaffold"],
        found: `is ${scaffold.name}, and the loop drives ${ownScaffolds.join(", ")}`,
        remedy: "choose one of these, or verl.distribution fork",
      };
    }
    if (scaffold.name === "openhands-sdk" && scaffold.version !== undefined) {
      yield {
        path: ["harbor_agent", "runtime_image"],
        found:
          "is not set, and the scaffold's default image has no Python that runs where it is mounted",
        remedy: "build one with: npm run image -- build openhands-sdk",
      };
    }
    const parser = scaffold.toolCallParser;
    if (proxy.mode === "in_process" && parser !== "" && verlToolParser(parser) === undefined) {
      yield {
        path: ["proxy", "mode"],
        found: `is in_process, and verl itself has no parser for what ${parser} of vLLM reads (it has those for ${parsersOfBoth.join(", ")})`,
        consequence: "no tool call of the policy reaches its agent",
        remedy: "set proxy.mode to litellm",
      };
    }
    for (const key of ["agent_import_path", "agent_name"] as const) {
      if (agent[key] === undefined) continue;
      yield {
        severity: "warn",
        path: ["harbor_agent", key],
        found: `is ${agent[key] ?? "null"}, and the loop takes the scaffold's own class`,
        consequence: "it has no effect",
        remedy: "leave it out",
      };
    }
    if (runtime.tail_kill_target < 1 && topology.mode === "async") {
      yield {
        severity: "warn",
        path: ["harbor_runtime", "tail_kill_target"],
        found: `is ${runtime.tail_kill_target}, and on an asynchronous tier no step waits for its slowest trial`,
        consequence: "it has no effect",
        remedy: "leave it out",
      };
    }
  },
});

export const rehearsal = defineRule({
  id: "rehearsal",
  title: "a rehearsal runs what this project makes, and trains nothing",
  severity: "fatal",
  consequence: "the fork's image has no program for it, and the run ends at once",
  remedy: "extend single-node-stock.yaml or that of another tier",
  source: "docs/training-image.md",
  *check({ settings: { experiment } }) {
    if (!experiment.rehearsal) return;
    const path = ["rehearsal"];
    if (experiment.verl.distribution === "fork") {
      yield { path, found: "is true, and verl.distribution is fork" };
      return;
    }
    yield {
      severity: "warn",
      path,
      found: "is true",
      consequence: "servers sample from random numbers and no gradient is computed",
      remedy: "leave it out for the run itself",
    };
  },
});
