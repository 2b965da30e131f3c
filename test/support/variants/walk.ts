/** Variants of settings, derived from their schema: each changes one value of a base. */
import { z } from "zod";
import { branchesOf, type JsonSchema, minimal, schemaOf } from "./minimal.ts";

export interface Variant {
  /** `sandbox.prepull.enabled`; `[]` stands for the item of a list. */
  readonly path: string;
  readonly value: unknown;
  /** All settings with the value. */
  readonly settings: unknown;
}

interface Place {
  readonly path: string;
  /** Its value in the base; undefined where the base leaves it out. */
  readonly base: unknown;
  /** The base with another value here. */
  readonly put: (value: unknown) => unknown;
}

export function variantsOf(schema: z.ZodType, base: unknown, prefix = ""): Variant[] {
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return walk(json, { path: prefix, base, put: (value) => value });
}

function walk(schema: JsonSchema, place: Place): Variant[] {
  const branches = branchesOf(schema);
  if (branches) return branches.flatMap((branch) => ofBranch(branch, place));
  if (schema.const !== undefined) return [];
  if (schema.enum) return features(place, schema.enum);
  switch (schema.type) {
    case "boolean":
      return features(place, [true, false]);
    case "null":
      return features(place, [null]);
    case "array":
      return ofArray(schema, place);
    case "object":
      return schema.properties ? ofObject(schema.properties, place) : ofRecord(schema, place);
    default:
      return [variant(place, minimal(schema, place))];
  }
}

function features(place: Place, values: readonly unknown[]): Variant[] {
  return values.filter((value) => value !== place.base).map((value) => variant(place, value));
}

function variant({ path, put }: Place, value: unknown): Variant {
  return { path, value, settings: put(value) };
}

/** The branch that the base has is walked; another is first set to its minimal value. */
function ofBranch(branch: JsonSchema, place: Place): Variant[] {
  if (fits(branch, place.base)) return walk(branch, place);
  const value = minimal(branch, place);
  const isNested = branch.type === "object" || branch.type === "array";
  const inner = isNested ? walk(branch, { ...place, base: value }) : [];
  return [variant(place, value), ...inner];
}

function fits(branch: JsonSchema, base: unknown): boolean {
  if (base === undefined) return false;
  if (branch.type === "null") return base === null;
  if (branch.type === "object") {
    const kind = branch.properties?.["kind"];
    if (typeof base !== "object" || base === null) return false;
    return kind === undefined || schemaOf(kind).const === fieldOf(base, "kind");
  }
  if (branch.type === "integer") return typeof base === "number";
  return typeof base === branch.type;
}

function ofObject(properties: Readonly<Record<string, unknown>>, place: Place): Variant[] {
  const known = typeof place.base === "object" && place.base !== null ? place.base : {};
  return Object.entries(properties).flatMap(([key, inner]) =>
    walk(schemaOf(inner), {
      path: place.path === "" ? key : `${place.path}.${key}`,
      base: fieldOf(known, key),
      put: (value) => place.put({ ...known, [key]: value }),
    }),
  );
}

function ofArray({ items }: JsonSchema, place: Place): Variant[] {
  const schema = schemaOf(items);
  const path = `${place.path}[]`;
  const item = minimal(schema, { path });
  const inside = { path, base: item, put: (value: unknown) => place.put([value]) };
  return [variant(place, [item]), ...walk(schema, inside)];
}

function ofRecord({ additionalProperties, propertyNames }: JsonSchema, place: Place): Variant[] {
  const path = `${place.path}[]`;
  const key = String(
    minimal(schemaOf(propertyNames ?? { type: "string" }), { path: `${path}.key` }),
  );
  const value = minimal(schemaOf(additionalProperties), { path });
  return [variant(place, { [key]: value })];
}

function fieldOf(object: object, key: string): unknown {
  return (object as Readonly<Record<string, unknown>>)[key];
}
