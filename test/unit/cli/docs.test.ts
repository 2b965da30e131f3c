import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decide } from "../../../cli/decide.ts";
import { sourceLinks } from "../../../cli/docs/markdown.ts";
import { generatedPages } from "../../../cli/docs/pages.ts";
import { constraintIds, rulesOf } from "../../../cli/docs/rules.ts";
import { knownPaths } from "../../../config/load/validate.ts";
import { settingsOf } from "../../../cli/docs/reference.ts";
import { ruleById, ruleIds } from "../../../rules/index.ts";
import { exempt } from "../../../rules/exempt.ts";
import { experiment } from "../../../config/schema/experiment.ts";
import { kubernetesSite as site } from "../../../config/schema/site.ts";
import { ConfigFolder, planWith, projectRoot } from "../../support/settings.ts";

const pages = generatedPages(projectRoot);

describe("generated documentation", () => {
  it.each([...pages])("%s is what `npm run docs` writes", (file, text) => {
    expect(readFileSync(join(projectRoot, file), "utf8")).toBe(text);
  });

  it("is the same every time", () => {
    expect(generatedPages(projectRoot)).toEqual(pages);
  });

  it.each([
    ["experiment", experiment],
    ["site", site],
  ])("lists every setting of the %s", (_name, schema) => {
    const page = pages.get("docs/settings.md") ?? "";
    const missing = knownPaths(schema)
      .map((path) => path.join(".").replaceAll(".[]", "[]"))
      .filter((key) => !page.includes(`\`${key}\``) && !page.includes(`### ${key}\n`))
      .filter((key) => !page.includes(`\`${key}.`));
    expect(missing).toEqual([]);
  });

  it("says type, range and default", () => {
    const reference = new Map(
      [...settingsOf(experiment), ...settingsOf(site)].map((setting) => [
        setting.path.join("."),
        setting,
      ]),
    );
    const facts = (key: string) => {
      const setting = reference.get(key);
      return [setting?.type, setting?.default ?? (setting?.required ? "required" : undefined)];
    };
    expect(facts("model.model_path")).toEqual(["absolute path", "required"]);
    expect(facts("vllm.gpu_memory_utilization")).toEqual(["number > 0, ≤ 1", 0.85]);
    expect(facts("infrastructure.ray_port")).toEqual(["whole number ≥ 1024, ≤ 65535", 6379]);
    expect(facts("infrastructure.nnodes")).toEqual(["whole number ≥ 1", undefined]);
    expect(facts("harbor_agent.agent_name")).toEqual(["string or `null`", undefined]);
    expect(facts("network.rollout_ports.from")).toEqual(["whole number ≥ 1024, ≤ 65535", 40000]);
    expect(facts("volumes.models.kind")).toEqual([
      "`claim`, `existing`, `nfs`, `host_path`",
      "required",
    ]);
    expect(reference.get("volumes.models.size")?.description).toBe(
      "Capacity to claim. Only with kind `claim`.",
    );
  });

  it("has a row for every override and variable of a Plan, and no value that is secret", () => {
    const page = pages.get("docs/command-line.md") ?? "";
    const { overrides, environment } = planWith().plan.trainer;
    for (const { prefix, key, source } of overrides) {
      expect(page).toContain(`| \`${prefix}${key}\` | ${sourceLinks(source)}`);
    }
    for (const { name } of environment) expect(page).toContain(`| \`${name}\` |`);
    expect(page).toMatch(/\| `ANTHROPIC_API_KEY` \| [^|]+ \| \*secret:\* `sandboxKey` \|/);
    expect(page).toMatch(/\| `ANTHROPIC_BASE_URL` \| [^|]+ \| \*known on the cluster:\* /);
  });
});

describe("docs/experiments.md", () => {
  it("shows an experiment that works", () => {
    const page = readFileSync(join(projectRoot, "docs/experiments.md"), "utf8");
    const [, example = ""] = /```yaml\n(.*?)```/s.exec(page) ?? [];
    using folder = new ConfigFolder();
    folder.write("exp-42.yaml", example);
    const { plan, warnings } = decide(folder.root, { stack: "exp-42" });
    expect(plan.batches.prompts).toBe(32);
    expect(warnings.map((text) => text.split(" ")[0])).toEqual(["C-15"]);
  });
});

describe("docs/verl.md", () => {
  it("names rules that are there", () => {
    const page = readFileSync(join(projectRoot, "docs/verl.md"), "utf8");
    const rows = page.split("\n").filter((line) => line.startsWith("| "));
    const named = rows.flatMap((row) =>
      [...(row.split("|")[3] ?? "").matchAll(/`([A-Za-z]+-[a-z0-9-]+)`/g)].map(
        ([, id]) => id ?? "",
      ),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((id) => !ruleIds.some((known) => known === id))).toEqual([]);
  });
});

describe("docs/rules.md", () => {
  it("says of every constraint which rule it has become, or why it is none", () => {
    const isRule = (id: string) => rulesOf(id).length > 0;
    expect(constraintIds.filter((id) => !isRule(id) && exempt[id] === undefined)).toEqual([]);
    expect(Object.keys(exempt).filter((id) => isRule(id) || !constraintIds.includes(id))).toEqual(
      [],
    );
  });

  it("has a row for every rule", () => {
    const page = pages.get("docs/rules.md") ?? "";
    for (const id of ruleIds) expect(page).toContain(`\n| \`${id}\` | ${ruleById[id].title} |`);
  });
});
