/** JSON Schemas of the configuration files, for editors: completion, hover, and a mark under what would be refused. */
import { z } from "zod";
import { experiment } from "./schema/experiment.ts";
import { site } from "./schema/sites.ts";

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

function toEditorSchema(schema: z.ZodType, title: string): JsonSchema {
  const json = z.toJSONSchema(schema, { target: "draft-7", io: "input" });
  // A key may stand in the file that is extended, so none is required of one file alone.
  return { ...withoutRequired(json), title };
}

function withoutRequired<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutRequired) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, inner]) => !(key === "required" && Array.isArray(inner)))
      .map(([key, inner]) => [key, withoutRequired(inner as unknown)]),
  ) as T;
}
