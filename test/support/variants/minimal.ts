/** The smallest value that a JSON Schema admits. */
import type { z } from "zod";

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** Texts of the shapes that settings have; the first that matches a pattern is taken. */
const texts = [
  "/models/variant",
  "registry.example.com/variant:1",
  "512Gi",
  "package.module:Variant",
  "variant",
  "10.0.0.9",
  "trainer.variant",
  "v1",
  "1",
  "registry.example.com/variant",
] as const;

/** Values for settings where the schema alone does not say what is valid. */
const written: Readonly<Record<string, unknown>> = {
  "site.volumes.models.mount_path": "/models",
  "site.volumes.data.mount_path": "/data",
  "site.isolation.accepted[].target": "own node: ICMP",
};

export function minimal(
  schema: JsonSchema,
  { path, base }: { path: string; base?: unknown },
): unknown {
  if (path in written) return written[path];
  // Something recursive, which takes any scalar.
  if (schema.$ref !== undefined) return true;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const [branch] = branchesOf(schema) ?? [];
  if (branch) return minimal(branch, { path });
  switch (schema.type) {
    case "boolean":
      return true;
    case "null":
      return null;
    case "integer":
    case "number":
      return number(schema, base);
    case "string":
      return text(schema, { path, base });
    case "array":
      return (schema.minItems ?? 0) > 0
        ? [minimal(schemaOf(schema.items), { path: `${path}[]` })]
        : [];
    case "object":
      return Object.fromEntries(
        (schema.required ?? []).map((key) => [
          key,
          minimal(schemaOf(schema.properties?.[key]), { path: `${path}.${key}` }),
        ]),
      );
    default:
      throw new Error(`${path}: no value for ${JSON.stringify(schema)}`);
  }
}

/** Another number than the base's, within the bounds. */
function number(schema: JsonSchema, base: unknown): number {
  const { minimum, maximum = Infinity } = schema;
  const above = schema.exclusiveMinimum;
  const step = schema.type === "integer" ? 1 : 0.125;
  const least = minimum ?? (typeof above === "number" ? above + step : step);
  if (typeof base !== "number") return least;
  return base + step <= maximum ? base + step : base - step;
}

function text(
  { pattern, maxLength = Infinity }: JsonSchema,
  { path, base }: { path: string; base?: unknown },
): string {
  const shape = new RegExp(pattern ?? "", "u");
  const candidates = [
    ...(typeof base === "string" ? [`${base}2`, `${base}/2`] : []),
    ...(pattern === undefined ? ["variant"] : texts),
  ];
  const found = candidates.find(
    (candidate) => shape.test(candidate) && candidate.length <= maxLength && candidate !== base,
  );
  if (found === undefined)
    throw new Error(`${path}: write a text for ${pattern ?? "it"} into ${import.meta.filename}`);
  return found;
}

/** Alternatives of a schema; zod writes a nullable text as one schema with two types. */
export function branchesOf(schema: JsonSchema): JsonSchema[] | undefined {
  const type: unknown = schema.type;
  if (Array.isArray(type)) return type.map((one: unknown) => schemaOf({ ...schema, type: one }));
  return (schema.anyOf ?? schema.oneOf)?.map(schemaOf);
}

export function schemaOf(value: unknown): JsonSchema {
  if (typeof value !== "object" || value === null) throw new Error("a schema without a shape");
  return value as JsonSchema;
}
