import { describe, expect, it } from "vitest";
import type { Plan } from "../../../plan/plan.ts";
import { planAsJson } from "../../../plan/summary/index.ts";
import { planWith, problemsOf } from "../../support/settings.ts";

const qwen35 = "model: { model_path: /models/Qwen3.5-35B-A3B }\ntraining: { sp_size: 1 }";

const environmentOf = (plan: Plan) =>
  (planAsJson(plan) as { trainer: { env: Record<string, string> } }).trainer.env;

describe("the scaffolds", () => {
  it.each([
    [
      "claude-code",
      "claude-code",
      "harbor_patch.agents.image_mounted_claude_code:ClaudeCode",
      "docker.io/jierun/c-cc-2.1.118:v0.1",
      "/opt/custom-agent-runtime/claude-code",
      "2.1.118",
      "cc",
    ],
    [
      "openhands-sdk",
      "null",
      "harbor.agents.custom.openhands_sdk:CustomOpenHandsSDK",
      "docker.io/jierun/c-oh-sdk-1.33.0:v0.1",
      "/opt/custom-agent-runtime/oh-sdk",
      "1.33.0",
      "oh",
    ],
    [
      "openhands",
      "null",
      "harbor_patch.agents.image_mounted_openhands_ai.openhands:OpenHands",
      "yuantao428/harbor-openhands-ai-runtime:0.50.0",
      "/opt/custom-agent-runtime/openhands-ai",
      "0.50.0",
      "oh",
    ],
    [
      "opencode",
      "null",
      "harbor_patch.agents.image_mounted_opencode:OpenCode",
      "docker.io/jierun/c-oc-1.14.22:v0.1",
      "/opt/custom-agent-runtime/opencode",
      "1.14.22",
      "oh",
    ],
  ])("%s", (...row) => {
    const [scaffold, name, importPath, image, mount, version, loop] = row;
    const { plan, problems } = planWith(`harbor_agent: { scaffold: ${scaffold} }\n${qwen35}`);
    expect(problems).toEqual([]);
    expect(environmentOf(plan)).toMatchObject({
      HARBOR_AGENT_NAME: name,
      HARBOR_AGENT_IMPORT_PATH: importPath,
      HARBOR_AGENT_RUNTIME_IMAGE: image,
      HARBOR_AGENT_RUNTIME_MOUNT_PATH: mount,
      HARBOR_AGENT_RUNTIME_IMAGE_SUBPATH: mount.slice(1),
      HARBOR_AGENT_VERSION: version,
      TOOL_CALL_PARSER: "qwen3_coder",
    });
    const config = plan.trainer.overrides.find(({ key }) => key.endsWith("agent_loop_config_path"));
    expect(config?.value).toMatch(new RegExp(`/agent_loop_config_${loop}\\.yaml$`));
  });

  it.each([
    ["claude-code", "qwen3_coder"],
    ["openhands-sdk", "hermes"],
    ["openhands", "hermes"],
  ])("has for Qwen3-30B-A3B and %s the parser %s", (scaffold, parser) => {
    const { plan } = planWith(`harbor_agent: { scaffold: ${scaffold} }`);
    expect(plan.scaffold.toolCallParser).toBe(parser);
  });

  it("is known by the import path of an original file", () => {
    const path = "harbor.agents.custom.openhands_sdk:CustomOpenHandsSDK";
    const { plan, problems } = planWith(
      `harbor_agent: { agent_name: null, agent_import_path: "${path}" }`,
    );
    expect(problems).toEqual([]);
    expect(plan.scaffold).toMatchObject({ name: "openhands-sdk", version: "1.33.0" });
  });

  it("does not know the version in another image", () => {
    const { plan } = planWith("harbor_agent: { runtime_image: registry.example.com/cc:mine }");
    expect(plan.scaffold.version).toBeUndefined();
    expect(environmentOf(plan)).not.toHaveProperty("HARBOR_AGENT_VERSION");
  });
});

describe("how a scaffold reaches the policy", () => {
  const proxy = "http://<address of Service litellm>:8002";

  it.each([
    [
      "claude-code",
      { ANTHROPIC_BASE_URL: proxy, HARBOR_ANTHROPIC_BASE_URL: proxy, ANTHROPIC_API_KEY: "***" },
    ],
    ["openhands-sdk", { LLM_BASE_URL: `${proxy}/v1`, LLM_API_KEY: "***" }],
    ["openhands", { LLM_BASE_URL: `${proxy}/v1` }],
    [
      "opencode",
      {
        HOSTED_VLLM_BASE_URL: `${proxy}/v1`,
        HARBOR_OPENAI_API_KEY: "***",
        OPENCODE_DISABLE_STREAMING: "false",
      },
    ],
  ])("%s through LiteLLM", (scaffold, expected) => {
    const { plan } = planWith(`harbor_agent: { scaffold: ${scaffold} }\n${qwen35}`);
    expect(environmentOf(plan)).toMatchObject(expected);
  });

  it.each(["claude-code", "openhands-sdk", "openhands", "opencode"])(
    "%s in process: by a URL for each trial, and no key of ours",
    (scaffold) => {
      const { plan } = planWith(`harbor_agent: { scaffold: ${scaffold} }`, { base: "two-node" });
      const environment = environmentOf(plan);
      expect(Object.keys(environment).filter((name) => name.endsWith("_BASE_URL"))).toEqual([]);
      expect(Object.values(environment)).not.toContain("***");
    },
  );

  it("makes OpenCode do without streams in process, where they are refused", () => {
    const { plan } = planWith("harbor_agent: { scaffold: opencode }", { base: "two-node" });
    const environment = environmentOf(plan);
    expect(environment["OPENCODE_DISABLE_STREAMING"]).toBe("true");
    const content = JSON.parse(environment["HARBOR_OPENCODE_CONFIG_CONTENT"] ?? "") as object;
    expect(content).toMatchObject({
      model: "hosted_vllm/vllm_model",
      provider: { hosted_vllm: { options: { disableStreaming: true } } },
    });
  });

  it("tells the OpenHands pair the limits of a trial and of a call", () => {
    const { plan } = planWith("harbor_agent: { scaffold: openhands }");
    expect(JSON.parse(environmentOf(plan)["HARBOR_AGENT_MODEL_INFO"] ?? "")).toEqual({
      max_input_tokens: 108000,
      max_output_tokens: 27000,
    });
  });
});

describe("what an agent knows of its window", () => {
  const told = (yaml: string) => {
    const { plan } = planWith(yaml);
    const { batches, proxy } = plan;
    const held = proxy.mode === "litellm" ? proxy.recorder.callTokens : undefined;
    return { environment: environmentOf(plan), batches, held };
  };

  it("Claude Code: by two variables", () => {
    const { environment, held } = told("");
    expect(environment["CLAUDE_CODE_MAX_OUTPUT_TOKENS"]).toBe("27000");
    expect(environment["CLAUDE_CODE_AUTO_COMPACT_WINDOW"]).toBe("108000");
    expect(held).toBe(27_000);
  });

  it("OpenCode: by the limits of its model", () => {
    const { environment } = told("harbor_agent: { scaffold: opencode }");
    expect(JSON.parse(environment["HARBOR_OPENCODE_CONFIG_CONTENT"] ?? "")).toMatchObject({
      provider: {
        hosted_vllm: { models: { vllm_model: { limit: { context: 108_000, output: 27_000 } } } },
      },
    });
  });

  it.each<[string, string, [window: number, call: number]]>([
    ["a bound of its own", "harbor_agent: { max_call_tokens: 8000 }", [108_000, 8000]],
    ["at most a quarter", "harbor_agent: { max_call_tokens: 60000 }", [108_000, 27_000]],
    ["a smaller window of the servers", "vllm: { max_model_length: 64000 }", [64_000, 16_000]],
    ["at most a response", "training: { max_response_length: 9000 }", [49_000, 9000]],
    [
      "32000 of a long window",
      "training: { max_prompt_length: 88000 }\nvllm: { max_model_length: 200000 }",
      [156_000, 32_000],
    ],
  ])("%s", (_what, yaml, [window, call]) => {
    const { batches, held } = told(yaml);
    expect([batches.agentWindow, batches.callTokens, held]).toEqual([window, call, call]);
  });
});

describe("a scaffold that cannot work", () => {
  it.each([
    [
      "a name for the OpenHands pair",
      "harbor_agent: { scaffold: openhands-sdk, agent_name: openhands }",
      [/^harbor_agent.agent_name: is openhands, but the scaffold openhands-sdk needs null: .*/],
    ],
    [
      "a parser that does not fit the model",
      "harbor_agent: { scaffold: openhands-sdk }\nverl: { tool_call_parser: qwen3_coder }",
      [
        /^verl.tool_call_parser: is qwen3_coder, but this model with openhands-sdk writes what hermes parses/,
      ],
    ],
    [
      "a model and scaffold that nobody tried",
      "harbor_agent: { scaffold: opencode }",
      [
        /^verl.tool_call_parser: is not set, and config\/models.yaml has none for this model with opencode/,
      ],
    ],
    [
      "the class of another",
      'harbor_agent: { scaffold: claude-code, agent_import_path: "harbor_patch.agents.image_mounted_opencode:OpenCode" }',
      [
        /^harbor_agent.agent_import_path: is that of opencode, but harbor_agent.scaffold is claude-code/,
      ],
    ],
    [
      "a custom one without its settings",
      "harbor_agent: { scaffold: custom }\nverl: { tool_call_parser: hermes }",
      [
        /^harbor_agent.agent_import_path: is not set, and a custom scaffold has no default/,
        /^harbor_agent.runtime_image: is not set/,
        /^harbor_agent.runtime_mount_path: is not set/,
        /^trainer.agent_loop_config: is not set/,
      ],
    ],
  ])("%s", (_what, yaml, messages) => {
    expect(problemsOf(planWith(yaml))).toEqual(
      messages.map((message) => expect.stringMatching(message) as string),
    );
  });
});
