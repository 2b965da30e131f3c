/** Every setting of a schema with its type, default and meaning, for `show` and for the generated documentation. */
import { z } from "zod";
import {
  absolutePath,
  byteQuantity,
  dnsLabel,
  image,
  importPath,
} from "../../config/schema/scalars.ts";

type JsonSchema = z.core.JSONSchema.JSONSchema;

export interface SettingReference {
  /** Keys from the root; `[]` stands for every item of a list, `<name>` for a key of the user's own. */
  readonly path: readonly string[];
  /** Type and range in words; Markdown. Undefined for a section. */
  readonly type: string | undefined;
  readonly required: boolean;
  /** Undefined if there is none. */
  readonly default: unknown;
  readonly description: string;
}

/** Settings in the order of the schema, sections before what is in them. */
export function settingsOf(schema: z.ZodType): readonly SettingReference[] {
  const json = z.toJSONSchema(schema, { target: "draft-7", io: "input" });
  return childrenOf(json, []);
}

function childrenOf(schema: JsonSchema, path: readonly string[]): SettingReference[] {
  const preset = isRecord(schema.default) ? schema.default : {};
  const children = withoutPreset(schema, path);
  return children.map((child) => {
    const key = child.path.length === path.length + 1 ? child.path.at(-1) : undefined;
    const value = key === undefined ? undefined : preset[key];
    return value === undefined ? child : { ...child, required: false, default: value };
  });
}

/** As {@link childrenOf}, before the defaults that stand at the section itself. */
function withoutPreset(schema: JsonSchema, path: readonly string[]): SettingReference[] {
  const branches = objectBranches(schema);
  if (branches.length > 1) return mergeBranches(branches, path);
  const [object] = branches;
  if (object) {
    return Object.entries(object.properties ?? {}).flatMap(([key, inner]) =>
      isSchema(inner)
        ? describe(inner, [...path, key], object.required?.includes(key) ?? false)
        : [],
    );
  }
  if (isSchema(schema.items)) return childrenOf(schema.items, inList(path));
  if (isSchema(schema.additionalProperties)) {
    return childrenOf(schema.additionalProperties, [...path, "<name>"]);
  }
  return alternatives(schema).flatMap((branch) => childrenOf(branch, path));
}

function describe(
  schema: JsonSchema,
  path: readonly string[],
  required: boolean,
): SettingReference[] {
  const children = childrenOf(schema, path);
  const isSection = children.length > 0 && schema.properties !== undefined;
  const own: SettingReference = {
    path,
    type: isSection ? undefined : typeOf(schema),
    required,
    default: isSection ? undefined : schema.default,
    description: schema.description ?? "",
  };
  return [own, ...children];
}

/** Variants of a mapping, distinguished by a key with a fixed value: equal settings are listed once, with their variants. */
function mergeBranches(branches: readonly JsonSchema[], path: readonly string[]) {
  const merged = new Map<string, { setting: SettingReference; kinds: string[] }>();
  for (const branch of branches) {
    const kind = kindOf(branch);
    for (const setting of childrenOf({ ...branch, oneOf: [] }, path)) {
      if (setting.path.length === path.length + 1 && setting.path.at(-1) === kind?.key) continue;
      const identity = JSON.stringify([setting.path, setting.type, setting.description]);
      const entry = merged.get(identity) ?? { setting, kinds: [] };
      merged.set(identity, entry);
      if (kind) entry.kinds.push(kind.value);
    }
  }
  const kinds = branches.flatMap((branch) => kindOf(branch) ?? []);
  const selector = kinds[0] && {
    path: [...path, kinds[0].key],
    type: choice(kinds.map(({ value }) => value)),
    required: true,
    default: undefined,
    description: "Selects which of the following settings there are.",
  };
  return [
    ...(selector ? [selector] : []),
    ...[...merged.values()].map(({ setting, kinds: present }) =>
      present.length === kinds.length
        ? setting
        : {
            ...setting,
            description: `${setting.description} Only with ${kinds[0]?.key ?? ""} ${choice(present)}.`,
          },
    ),
  ];
}

function kindOf(branch: JsonSchema): { key: string; value: string } | undefined {
  for (const [key, inner] of Object.entries(branch.properties ?? {})) {
    if (isSchema(inner) && typeof inner.const === "string") return { key, value: inner.const };
  }
  return undefined;
}

function objectBranches(schema: JsonSchema): JsonSchema[] {
  if (schema.properties) return [schema];
  return alternatives(schema).filter(({ properties }) => properties);
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  return [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].filter(isSchema);
}

function inList(path: readonly string[]): string[] {
  return [...path.slice(0, -1), `${path.at(-1) ?? ""}[]`];
}

const nounOfPattern = new Map(
  Object.entries({
    "absolute path": absolutePath(),
    "size such as `512Gi`": byteQuantity(),
    "DNS label": dnsLabel(),
    "image reference": image(),
    "`package.module:Class`": importPath(),
  }).map(([noun, schema]) => [z.toJSONSchema(schema).pattern, noun]),
);

function typeOf(schema: JsonSchema): string {
  if (schema["ruleId"] === true) return "id of a [rule](rules.md)";
  if (schema.const !== undefined) return schema.const === "" ? "empty" : code(schema.const);
  if (schema.enum) return choice(schema.enum);
  const variants = alternatives(schema);
  if (variants.length > 0) return [...new Set(variants.map(typeOf))].join(" or ");
  if (Array.isArray(schema.type)) {
    const types = schema.type as JsonSchema["type"][];
    return types.map((type) => typeOf({ ...schema, ...(type && { type }) })).join(" or ");
  }
  switch (schema.type) {
    case "string":
      if (schema.format === "ipv4") return "IPv4 address";
      return nounOfPattern.get(schema.pattern) ?? "string";
    case "boolean":
      return choice([true, false]);
    case "integer":
      return `whole number${range(schema)}`;
    case "number":
      return `number${range(schema)}`;
    case "null":
      return "`null`";
    case "array":
      return isSchema(schema.items) ? `list of ${plural(schema.items)}` : "list";
    case "object":
      return isSchema(schema.additionalProperties)
        ? `mapping of names to ${plural(schema.additionalProperties)}`
        : "mapping";
    default:
      // `HydraValue` becomes "Hydra value".
      return schema.$ref === undefined
        ? "anything"
        : (schema.$ref.split("/").at(-1) ?? "").replaceAll(
            /(?<=[a-z])[A-Z]/g,
            (letter) => ` ${letter.toLowerCase()}`,
          );
  }
}

function plural(schema: JsonSchema): string {
  if (schema.properties || objectBranches(schema).length > 0) return "mappings";
  const type = typeOf(schema);
  if (type.startsWith("mapping ")) return type.replace("mapping", "mappings");
  return /^[\w ]+$/.test(type) ? `${type}s` : type;
}

/** zod writes the limits of safe integers into every whole number. */
function range(schema: JsonSchema): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  const parts: string[] = [];
  if (minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER) parts.push(`≥ ${minimum}`);
  if (typeof exclusiveMinimum === "number") parts.push(`> ${exclusiveMinimum}`);
  if (maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) parts.push(`≤ ${maximum}`);
  if (typeof exclusiveMaximum === "number") parts.push(`< ${exclusiveMaximum}`);
  return parts.length > 0 ? ` ${parts.join(", ")}` : "";
}

function choice(values: readonly unknown[]): string {
  return [...new Set(values.map(code))].join(", ");
}

function code(value: unknown): string {
  return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
