/** JSON Schemas of the configuration files, for editors: completion, hover, and a mark under what would be refused. */
import { z } from "zod";
import { experiment } from "../../config/schema/experiment.ts";
import { models } from "../../config/schema/models.ts";
import { site } from "../../config/schema/sites.ts";
import { ruleIds } from "../../rules/index.ts";

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** What may stand in `config/*.yaml`: the experiment, and what it is based on. */
export const experimentFile = experiment.extend({
  extends: z
    .string()
    .optional()
    .describe("File that this one is based on, relative to it; mappings are merged key by key."),
});

/** Schema of `config/*.yaml`. */
export function experimentSchema(): JsonSchema {
  return toEditorSchema(experimentFile, "Experiment of swe-rl");
}

/** Schema of `config/sites/*.yaml`. */
export function siteSchema(): JsonSchema {
  return toEditorSchema(site, "Site of swe-rl");
}

/** Schema of `config/models.yaml`. */
export function modelsSchema(): JsonSchema {
  return toEditorSchema(models, "Models of swe-rl");
}

/** Every schema by its file in `config/`. */
export const schemaFiles: ReadonlyMap<string, () => JsonSchema> = new Map([
  ["schema.json", experimentSchema],
  ["site.schema.json", siteSchema],
  ["models.schema.json", modelsSchema],
]);

function toEditorSchema(schema: z.ZodType, title: string): JsonSchema {
  const json = z.toJSONSchema(schema, { target: "draft-7", io: "input" });
  return { ...forEditors(json), title };
}

/** What would mislead an editor, left out. */
function forEditors<T>(value: T): T {
  if (Array.isArray(value)) return value.map(forEditors) as T;
  if (typeof value !== "object" || value === null) return value;
  const known = "ruleId" in value ? { ...value, enum: ruleIds } : value;
  return Object.fromEntries(
    Object.entries(known)
      .filter(([key, inner]) => !misleading(key, inner))
      .map(([key, inner]) => [key, forEditors(inner as unknown)]),
  ) as T;
}

function misleading(key: string, value: unknown): boolean {
  // Ours, not JSON Schema's: the rule that a breach of the schema breaks, and what takes a rule's id.
  if (key === "rule" || key === "ruleId") return typeof value !== "object";
  // A key may stand in the file that is extended, so none is required of one file alone.
  if (key === "required") return Array.isArray(value);
  // yaml-language-server 2.0.0 ends a completion at such a default, and offers only what came before it.
  return key === "default" && value === null;
}
