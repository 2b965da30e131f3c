import { z } from "zod";
import { formatPath, type Problem, type SettingPath } from "./problem.ts";
import { isRecord } from "./document.ts";
import { locate, locateKey, type Layers } from "./layers.ts";
import { mayBeSecret } from "../schema/secret-name.ts";
import { nearest } from "./suggest.ts";

/** Checks the merged settings of some files against a schema; every problem gets the place where it can be mended. */
export function validate<S extends z.ZodType>(
  schema: S,
  layers: Layers,
): { settings?: z.output<S>; problems: Problem[] } {
  const settings = withoutBlanks(layers.settings);
  let result = schema.safeParse(settings);
  while (!result.success && leaveOutNulls(settings, result.error.issues, layers)) {
    result = schema.safeParse(settings);
  }
  if (result.success) return { settings: result.data, problems: [] };
  const problems = result.error.issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
    return issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => unknownKey(schema, layers, [...path, key]))
      : [
          {
            rule: isSet(valueAt(layers.settings, path)) ? ruleAt(schema, path) : undefined,
            path,
            message: explain(issue, foundAt(layers.settings, path)),
            location: locate(layers.files, path),
          },
        ];
  });
  return { problems };
}

/** The contract's rule: an empty value is not exported, so that the default applies. */
function withoutBlanks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBlanks);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== "")
      .map(([key, inner]) => [key, withoutBlanks(inner)]),
  );
}

/**
 * A key without a value (YAML reads it as null) counts as left out, except where the schema gives null a meaning:
 * what the schema refused is replaced by the base's value, if there is one. False if nothing was.
 */
function leaveOutNulls(
  settings: unknown,
  issues: readonly z.core.$ZodIssue[],
  { files }: Layers,
): boolean {
  const refused = issues.flatMap(({ path }) => {
    const [section, key] = [valueAt(settings, path.slice(0, -1)), path.at(-1)];
    return isRecord(section) && typeof key === "string" && section[key] === null
      ? [{ section, key, path }]
      : [];
  });
  for (const { section, key, path } of refused) {
    const base = files
      .map((file) => valueAt(file.settings, path))
      .find((value) => value !== undefined && value !== null);
    if (base === undefined) Reflect.deleteProperty(section, key);
    else section[key] = base;
  }
  return refused.length > 0;
}

function valueAt(settings: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, part) =>
      typeof inner === "object" && inner !== null
        ? (inner as Record<PropertyKey, unknown>)[part]
        : undefined,
    settings,
  );
}

function unknownKey(schema: z.ZodType, layers: Layers, path: SettingPath): Problem {
  const key = String(path.at(-1));
  const known = knownPaths(schema);
  const section = path.slice(0, -1);
  const siblings = known.filter(
    (other) => other.length === path.length && startsWith(other, section),
  );
  const elsewhere = known.find(
    (other) => other.length > 1 && other.at(-1) === key && !other.includes(anyItem),
  );
  const similar = nearest(
    key,
    siblings.map((other) => String(other.at(-1))),
  );
  let hint = "";
  if (similar !== undefined) hint = ` Did you mean ${formatPath([...section, similar])}?`;
  else if (elsewhere !== undefined)
    hint = ` It belongs into another section: ${formatPath(elsewhere)}.`;
  else if (siblings.length > 0) {
    hint = ` Known here: ${siblings.map((other) => String(other.at(-1))).join(", ")}.`;
  }
  return {
    path,
    message: `unknown setting; it would be ignored silently.${hint}`,
    location: locateKey(layers.files, path),
  };
}

function explain(issue: z.core.$ZodIssue, found: string | undefined): string {
  if (found === undefined && issue.code === "invalid_type") return "is required and not set";
  return `${expectation(issue)}; found ${found ?? "nothing"}`;
}

function expectation(issue: z.core.$ZodIssue): string {
  if (!/^(Invalid|Too|Unrecognized)\b/.test(issue.message)) return issue.message;
  switch (issue.code) {
    case "invalid_type":
      return `must be ${nouns[issue.expected] ?? `a ${issue.expected}`}`;
    case "too_small":
      return `must be ${issue.inclusive === false ? "more than" : "at least"} ${String(issue.minimum)}`;
    case "too_big":
      return `must be ${issue.inclusive === false ? "less than" : "at most"} ${String(issue.maximum)}`;
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
    case "invalid_union": {
      if ("options" in issue && Array.isArray(issue.options)) {
        const options = issue.options.filter((option) => option !== undefined);
        return `must be one of ${options.map(String).join(", ")}`;
      }
      return [...new Set(issue.errors.flat().map(expectation))].join(", or ");
    }
    default:
      return issue.message;
  }
}

const nouns: Readonly<Record<string, string>> = {
  int: "a whole number",
  object: "a mapping",
  record: "a mapping",
  array: "a list",
  boolean: "true or false",
};

/** The value at a path as it may be shown; what might be a credential may not. */
function foundAt(settings: unknown, path: SettingPath): string | undefined {
  const value = valueAt(settings, path);
  if (value === undefined || value === null) return undefined;
  if (mayBeSecret(String(path.at(-1)))) {
    return "a value (not shown)";
  }
  // JSON has neither.
  const text =
    typeof value === "number" && !Number.isFinite(value) ? String(value) : JSON.stringify(value);
  if (typeof value === "object" && text.length > 2) {
    return Array.isArray(value) ? "a list" : "a mapping";
  }
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function startsWith(path: SettingPath, prefix: SettingPath): boolean {
  return prefix.every((part, i) => path[i] === (typeof part === "number" ? anyItem : part));
}

/** Stands in a known path for the index of a list. */
const anyItem = "[]";

type JsonSchema = z.core.JSONSchema.JSONSchema;

const known = new WeakMap<z.ZodType, { json: JsonSchema; paths: readonly SettingPath[] }>();

function describeSchema(schema: z.ZodType) {
  let described = known.get(schema);
  if (!described) {
    const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
    described = { json, paths: collect(json, []) };
    known.set(schema, described);
  }
  return described;
}

/** Every path that a schema knows, sections included; `[]` stands for the index of a list. */
export function knownPaths(schema: z.ZodType): readonly SettingPath[] {
  return describeSchema(schema).paths;
}

/** The rule that a refused setting breaks: named by its schema's `.meta({ rule })`, or by that of a section above it. */
function ruleAt(schema: z.ZodType, path: SettingPath): string | undefined {
  let places: JsonSchema[] = [describeSchema(schema).json];
  let rule: string | undefined;
  for (const part of path) {
    places = places.flatMap((place) => stepInto(place, part));
    rule = places.map((place) => place["rule"]).find((id) => typeof id === "string") ?? rule;
  }
  return rule;
}

function stepInto(schema: JsonSchema, part: string | number): JsonSchema[] {
  const inner = typeof part === "number" ? schema.items : schema.properties?.[part];
  const here = isSchema(inner) && !Array.isArray(inner) ? [inner] : [];
  const branches = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].filter(isSchema);
  return [...here, ...branches.flatMap((branch) => stepInto(branch, part))];
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function collect(schema: JsonSchema, prefix: SettingPath): SettingPath[] {
  const branches = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].filter(isSchema);
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const path = [...prefix, key];
    return [path, ...(isSchema(inner) ? collect(inner, path) : [])];
  });
  const { items } = schema;
  const listed =
    isSchema(items) && !Array.isArray(items) ? collect(items, [...prefix, anyItem]) : [];
  return [...own, ...listed, ...branches.flatMap((branch) => collect(branch, prefix))];
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null;
}
