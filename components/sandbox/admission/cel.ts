/** Kubernetes values as CEL: written into a mutation, or compared with in a validation. */
import { literal } from "../../../plan/sandbox/index.ts";

/** What an object of the API may hold. */
export type Value =
  string | number | boolean | readonly Value[] | { readonly [key: string]: Value };

/** Fields that are plain maps in the API, where everything else with fields is a typed object. */
const maps = new Set(["requests", "limits"]);

/** The value as CEL of the API's types, for example `Object.spec.initContainers{name: "gate"}`. */
export function constructed(type: string, value: Value): string {
  if (isList(value)) return `[${value.map((item) => constructed(type, item)).join(", ")}]`;
  if (typeof value !== "object") return literal(value);
  const key = type.slice(type.lastIndexOf(".") + 1);
  const fields = Object.entries(value).map(([name, inner]) =>
    maps.has(key)
      ? `${literal(name)}: ${constructed(type, inner)}`
      : `${name}: ${constructed(`${type}.${name}`, inner)}`,
  );
  return `${maps.has(key) ? "" : type}{${fields.join(", ")}}`;
}

/** CEL that is true where `path` holds exactly what the value says. Fields that the value lacks are not looked at. */
export function equals(path: string, value: Value): string {
  if (isList(value)) {
    if (value.every((item) => typeof item !== "object")) {
      return `${path} == [${value.map((item) => literal(item)).join(", ")}]`;
    }
    return [
      `${path}.size() == ${value.length}`,
      ...value.map((item, i) => equals(`${path}[${i}]`, item)),
    ].join(" && ");
  }
  if (typeof value !== "object") return `${path} == ${literal(value)}`;
  const key = path.slice(path.lastIndexOf(".") + 1);
  return Object.entries(value)
    .map(([name, inner]) =>
      maps.has(key)
        ? `string(${path}[${literal(name)}]) == ${literal(textOf(inner))}`
        : `has(${path}.${name}) && ${equals(`${path}.${name}`, inner)}`,
    )
    .join(" && ");
}

/** A quantity as it is written. */
function textOf(value: Value): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}
