import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ruleIds } from "../../../rules/index.ts";
import { LanguageServer } from "../../support/language-server.ts";
import { projectRoot } from "../../support/settings.ts";

let server: LanguageServer;
beforeAll(async () => {
  server = await LanguageServer.start();
}, 60_000);
afterAll(async () => {
  await server.stop();
});

const shipped = ["config", "config/sites"].flatMap((folder) =>
  readdirSync(join(projectRoot, folder))
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => `${folder}/${name}`),
);
const modelines = {
  experiment: "# yaml-language-server: $schema=schema.json",
  site: "# yaml-language-server: $schema=../site.schema.json",
  models: "# yaml-language-server: $schema=models.schema.json",
};
type Kind = keyof typeof modelines;

function kindOf(file: string): Kind {
  if (file === "config/models.yaml") return "models";
  return file.startsWith("config/sites/") ? "site" : "experiment";
}

let drafts = 0;

/** A new file beside the shipped ones; `|` marks the place of the cursor. */
async function draft(kind: Kind, text: string) {
  const file = `config/${kind === "site" ? "sites/" : ""}draft-${++drafts}.yaml`;
  const before = text.slice(0, text.indexOf("|")).split("\n");
  // The modeline comes first.
  const position = { line: before.length, character: (before.at(-1) ?? "").length };
  const underlined = await server.open(file, `${modelines[kind]}\n${text.replace("|", "")}`);
  return { file, position, underlined };
}

describe("an editor with the YAML language server", { timeout: 60_000 }, () => {
  it.each(shipped)("finds the schema of %s in its first line, and nothing wrong", async (file) => {
    const text = readFileSync(join(projectRoot, file), "utf8");
    expect(text.split("\n", 1)).toEqual([modelines[kindOf(file)]]);
    expect(await server.open(file, text)).toEqual([]);
  });

  it.each<[Kind, string, string[]]>([
    ["experiment", "|", ["tier", "model", "preflight", "extends"]],
    ["experiment", "tier: |", ["single-node", "two-node", "three-node"]],
    ["experiment", "vllm:\n  |", ["gen_tp", "max_model_length"]],
    ["experiment", "verl:\n  engine: |", ["fsdp", "veomni", "megatron"]],
    ["experiment", "serving:\n  - |", ["name", "model_path", "gpus"]],
    ["experiment", "preflight:\n  waive:\n    - rule: |", [...ruleIds]],
    ["site", "gpu_nodes:\n  |", ["selector", "claim", "memory"]],
    ["site", "storage:\n  logs:\n    kind: |", ["claim", "existing", "nfs", "host_path"]],
    ["models", "My-Model:\n  |", ["mixture_of_experts", "tool_call_parser"]],
  ])("completes in a file of kind %s: %j", async (kind, text, expected) => {
    const { file, position } = await draft(kind, text);
    const offered = await server.complete(file, position);
    expect(expected.filter((label) => !offered.includes(label))).toEqual([]);
  });

  it.each<[Kind, string, string]>([
    ["experiment", "vllm:\n  g|en_tp: 4", "Tensor-parallel size of one rollout server"],
    ["experiment", "t|ier: two-node", "Topology of the run"],
    ["site", "network:\n  int|erface: eth0", "Network interface of NCCL"],
    ["models", "My-Model:\n  mix|ture_of_experts: true", "Whether the model has experts"],
  ])("explains in a file of kind %s: %j", async (kind, text, expected) => {
    const { file, position } = await draft(kind, text);
    expect(await server.hover(file, position)).toContain(expected);
  });

  it.each<[Kind, string, string]>([
    ["experiment", "vllm: { gen_pt: 4 }|", "gen_pt"],
    ["experiment", "vllm: { gen_tp: four }|", 'Expected "integer"'],
    ["experiment", "preflight: { waive: [{ rule: C-99, reason: x }] }|", "not accepted"],
    ["site", "tracking: sometimes|", "not accepted"],
    ["models", "My-Model: { kv_heads: 0 }|", "minimum"],
  ])("underlines in a file of kind %s what would be refused: %j", async (kind, text, expected) => {
    const { underlined } = await draft(kind, text);
    expect(underlined.join("\n")).toContain(expected);
  });
});
