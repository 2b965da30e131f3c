import { readFileSync } from "node:fs";
import fc from "fast-check";
import { stringify } from "yaml";
import { describe, expect, it } from "vitest";
import { schemaFiles } from "../../../cli/docs/json-schema.ts";
import { knownPaths } from "../../../config/load/validate.ts";
import { ConfigError } from "../../../config/load/problem.ts";
import { experiment } from "../../../config/schema/experiment.ts";
import { site } from "../../../config/schema/sites.ts";
import { contract } from "../../support/contract.ts";
import { judge, ConfigFolder, projectRoot } from "../../support/settings.ts";

describe("the schema", () => {
  it("knows every key of the input contract", () => {
    const known = new Set(knownPaths(experiment).map((path) => path.join(".")));
    expect(contract.filter((key) => !known.has(key))).toEqual([]);
  });

  it.each([
    ["experiment", experiment],
    ["site", site],
  ])("describes every key of the %s", (_name, schema) => {
    const undescribed: string[] = [];
    const visit = (node: JsonSchema, path: string) => {
      for (const [key, value] of Object.entries(node.properties ?? {})) {
        if (value.description === undefined && value.const === undefined)
          undescribed.push(`${path}${key}`);
        visit(value, `${path}${key}.`);
      }
      for (const branch of [...(node.anyOf ?? []), ...(node.oneOf ?? [])]) visit(branch, path);
      if (node.items) visit(node.items, `${path}[].`);
    };
    visit(schema.toJSONSchema({ io: "input" }) as JsonSchema, "");
    expect(undescribed).toEqual([]);
  });

  it.each([...schemaFiles])("config/%s is what `npm run schema` writes", (file, schema) => {
    expect(JSON.parse(readFileSync(`${projectRoot}/config/${file}`, "utf8"))).toEqual(schema());
  });
});

describe("whatever stands in a file", () => {
  const sections = Object.keys(experiment.shape);
  const keys = knownPaths(experiment).flatMap((path) =>
    path.length === 2 ? [String(path[1])] : [],
  );
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom("", null, -1, 0, 1e308, "x".repeat(300), "${x}", [], {}, [[]], "/a/../b"),
  );
  const file = fc.dictionary(
    fc.oneof(fc.constantFrom(...sections, "extends", "meta_info", "runtime_info"), fc.string()),
    fc.oneof(anything, fc.dictionary(fc.oneof(fc.constantFrom(...keys), fc.string()), anything)),
    { maxKeys: 6 },
  );

  it("yields settings or located problems, never another error", () => {
    using folder = new ConfigFolder();
    fc.assert(
      fc.property(file, (content) => {
        folder.write("run.yaml", stringify({ extends: "single-node.yaml", ...content }));
        try {
          judge(folder.load().settings);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          for (const { location } of (error as ConfigError).problems)
            expect(location).toBeDefined();
        }
      }),
      { numRuns: 75 },
    );
  });
});

interface JsonSchema {
  description?: string;
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  items?: JsonSchema;
}
