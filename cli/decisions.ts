/** A Plan as a flat list of decisions under stable names, so that two Plans can be compared. */
import { shownValue } from "../plan/summary/index.ts";
import { type EnvironmentVariable, formatOverride, type Override } from "../plan/verl/index.ts";
import type { Plan } from "../plan/plan.ts";
import { looksSecret } from "../config/schema/secret-name.ts";

export interface Decision {
  /** As it is shown. */
  readonly value: string;
  /** Setting, rule or ruling behind it, where the Plan knows it. */
  readonly source?: string;
  /** Why `value` only describes the value. */
  readonly unknown?: "secret" | "known on the cluster";
}

export type Decisions = ReadonlyMap<string, Decision>;

/**
 * Every decision by its path, for example `ray.groups[train].replicas`. The run's fingerprint, which changes whenever
 * anything does, is none.
 */
export function decisionsOf(plan: Plan): Decisions {
  const { trainer, ...rest } = withoutFingerprint(plan);
  const { argv, overrides, environment, ...plain } = trainer;
  const written = new Set(overrides.map(formatOverride));
  const command = argv.filter((argument) => !written.has(argument)).join(" ");
  return new Map([
    ...flatten({ ...rest, trainer: { ...plain, command } }, ""),
    ...overrides.map(overrideDecision),
    ...environment.map((variable) => variableDecision(variable, plan)),
  ]);
}

function withoutFingerprint(plan: Plan): Plan {
  const { fingerprint } = plan.trainer;
  const replace = <T>(value: T): T => {
    if (typeof value === "string") return value.replaceAll(fingerprint, "FINGERPRINT") as T;
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(replace) as T;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, replace(inner as unknown)]),
    ) as T;
  };
  return replace(plan);
}

function overrideDecision(override: Override): [string, Decision] {
  const { prefix, key, source } = override;
  const decision: Decision = looksSecret(key)
    ? { value: "not shown", source, unknown: "secret" }
    : { value: overrideValue(override), source };
  return [`override ${prefix}${key}`, decision];
}

/** An override's value as Hydra reads it. */
function overrideValue(override: Override): string {
  return formatOverride({ ...override, prefix: "", key: "" }).slice(1);
}

function variableDecision(variable: EnvironmentVariable, plan: Plan): [string, Decision] {
  const { name, source } = variable;
  if ("value" in variable) return [`environment ${name}`, { value: variable.value, source }];
  if ("secret" in variable) {
    return [`environment ${name}`, { value: variable.secret, source, unknown: "secret" }];
  }
  const value = shownValue(variable, plan);
  return [`environment ${name}`, { value, source, unknown: "known on the cluster" }];
}

function flatten(value: unknown, path: string): [string, Decision][] {
  if (value === undefined) return [];
  if (typeof value !== "object" || value === null) return [[path, { value: text(path, value) }]];
  if (Array.isArray(value)) return flattenList(value, path);
  const entries = Object.entries(value);
  if (entries.length === 0) return [[path, { value: "{}" }]];
  return entries.flatMap(([key, inner]) => flatten(inner, path === "" ? key : `${path}.${key}`));
}

/** Lists of named things by name, since an index changes when something is added before it; plain lists as a whole. */
function flattenList(list: readonly unknown[], path: string): [string, Decision][] {
  if (list.every((item) => typeof item !== "object" || item === null)) {
    return [[path, { value: list.map(String).join(", ") || "(none)" }]];
  }
  const names = list.map(nameOf);
  const isNamed = new Set(names).size === list.length && names.every((name) => name !== undefined);
  return list.flatMap((item, i) => {
    const decisions = flatten(item, `${path}[${isNamed ? (names[i] ?? "") : i}]`);
    return isNamed ? decisions.filter(([key]) => !key.endsWith("].name")) : decisions;
  });
}

function nameOf(item: unknown): string | undefined {
  const { name } = (item ?? {}) as { name?: unknown };
  return typeof name === "string" ? name : undefined;
}

const MiB = 2 ** 20;
const GiB = 2 ** 30;

function text(path: string, value: unknown): string {
  if (typeof value === "number" && /bytes$/i.test(path)) {
    if (value % GiB === 0) return `${value / GiB}Gi`;
    if (value % MiB === 0) return `${value / MiB}Mi`;
  }
  return String(value);
}
