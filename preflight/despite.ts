/** Settings that cannot be used, and the cluster all the same: what is wrong with both, in one report. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "yaml";
import { isRecord } from "../config/load/document.ts";
import { load, type Loaded, type Selection } from "../config/load/load.ts";
import { ConfigError, type Problem, type SettingPath } from "../config/load/problem.ts";
import type { Finding } from "../rules/finding.ts";
import { ruleById } from "../rules/index.ts";
import { findingsOf } from "./evaluate.ts";
import { preflight, type PreflightOptions } from "./preflight.ts";

/** What was to be loaded. */
export interface Source {
  readonly root: string;
  readonly selection: Selection;
}

/**
 * What is wrong with settings that could not be loaded, and what the cluster lacks for the stack that they are without
 * it. The rules about the settings wait: what is left out could make them lie. Where too little is left, so does the
 * cluster.
 */
export async function preflightDespite(
  error: ConfigError,
  source: Source,
  options: PreflightOptions = {},
): Promise<Finding[]> {
  const rest = options.offline ? undefined : withoutFaults(error, source);
  if (!rest) return findingsOf(error);
  const { findings } = await preflight(rest, options);
  const judged = findings.filter(({ id }) => ["cluster", "docker"].includes(ruleById[id].judges));
  return [...findingsOf(error, true), ...judged];
}

/** What is left out may have hidden more in the file below. */
const mostRounds = 4;

/** The settings without those that are refused; undefined where that leaves none. */
function withoutFaults(error: ConfigError, { root, selection }: Source): Loaded | undefined {
  const drafts = new Map<string, string>();
  let { problems } = error;
  for (let round = 0; round < mostRounds; round++) {
    if (!leaveOut(problems, root, drafts)) return undefined;
    try {
      return load(root, selection, drafts);
    } catch (next) {
      if (!(next instanceof ConfigError)) throw next;
      ({ problems } = next);
    }
  }
  return undefined;
}

/** Takes the settings out of their files' drafts. @returns false if one has no place of its own. */
function leaveOut(
  problems: readonly Problem[],
  root: string,
  drafts: Map<string, string>,
): boolean {
  const files = Map.groupBy(problems, ({ location }) => location?.file);
  return [...files].every(([file, group]) => {
    // Not even the file is what it should be, or without what it extends it means another stack.
    const isWhole = group.some(({ path }) => path.length === 0 || path[0] === "extends");
    if (file === undefined || isWhole) return false;
    const absolute = resolve(root, file);
    const text = drafts.get(absolute) ?? readFileSync(absolute, "utf8");
    const settings: unknown = parse(text, { maxAliasCount: -1 });
    // From behind: what is taken out of a list moves what follows.
    const paths = group.map(({ path }) => path).sort((a, b) => order(b, a));
    const taken = paths.every((path) => remove(settings, path));
    // JSON is YAML; nothing points into this text.
    drafts.set(absolute, JSON.stringify(settings));
    return taken;
  });
}

function order(a: SettingPath, b: SettingPath): number {
  const at = a.findIndex((part, i) => part !== b[i]);
  const [x, y] = [a[at], b[at]];
  if (typeof x === "number" && typeof y === "number") return x - y;
  return at < 0 ? a.length - b.length : String(x).localeCompare(String(y));
}

/** Deletes a setting, or where it is missing the section that lacks it. */
function remove(settings: unknown, path: SettingPath): boolean {
  // An original `config.yaml` nests its settings.
  const places = [[], ["runtime_info", "input"]];
  return path
    .map((_, i) => path.slice(0, path.length - i))
    .some((part) => places.some((place) => removeAt(settings, [...place, ...part])));
}

function removeAt(settings: unknown, path: SettingPath): boolean {
  const key = path.at(-1) ?? "";
  const parent = path
    .slice(0, -1)
    .reduce<unknown>(
      (inner, part) =>
        isRecord(inner) || Array.isArray(inner)
          ? (inner as Record<string, unknown>)[part]
          : undefined,
      settings,
    );
  if (Array.isArray(parent)) {
    return typeof key === "number" && key < parent.length && parent.splice(key, 1).length > 0;
  }
  return isRecord(parent) && Object.hasOwn(parent, key) && Reflect.deleteProperty(parent, key);
}
