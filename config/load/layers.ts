import { dirname, join, relative, resolve } from "node:path";
import type { Location, Problem, SettingPath } from "./problem.ts";
import { type Drafts, isRecord, readSource, type SourceFile } from "./document.ts";

/** An experiment's files from the most derived to the base, and the settings that they add up to. */
export interface Layers {
  readonly files: readonly SourceFile[];
  readonly settings: Record<string, unknown>;
}

export interface LayersResult {
  readonly layers?: Layers;
  readonly problems: readonly Problem[];
}

/** Reads a file and everything that it extends, then merges them: mappings key by key, anything else as a whole. */
export function readLayers(root: string, file: string, drafts: Drafts = new Map()): LayersResult {
  const files: SourceFile[] = [];
  const chain: string[] = [];
  let absolute: string | undefined = resolve(root, file);
  let from: Location | undefined;
  while (absolute !== undefined) {
    const shown = relative(root, absolute);
    if (chain.includes(absolute)) {
      const circle = [...chain.slice(chain.indexOf(absolute)), absolute]
        .map((path) => relative(root, path))
        .join(" → ");
      const message = `extends itself: ${circle}. Remove one of these lines, or no file has the base values.`;
      return { problems: [{ path: ["extends"], message, location: from }] };
    }
    chain.push(absolute);
    const read = readSource(absolute, shown, drafts);
    if (!read.ok) return { problems: read.problems.map((problem) => atExtends(problem, from)) };
    files.push(read.source);
    const base = read.source.settings["extends"];
    from = read.source.locate(["extends"]);
    if (base !== undefined && typeof base !== "string") {
      const message =
        "must be the name of a file, relative to this one, for example single-node.yaml";
      return { problems: [{ path: ["extends"], message, location: from }] };
    }
    absolute = base ? join(dirname(absolute), base) : undefined;
    if (absolute !== undefined && relative(resolve(root, "config"), absolute).startsWith("..")) {
      const message = `names ${base ?? ""}, which is outside config/: settings of this project extend files of this project`;
      return { problems: [{ path: ["extends"], message, location: from }] };
    }
  }
  const settings = files.reduceRight<Record<string, unknown>>((merged, { settings }) => {
    const { extends: _, ...own } = settings;
    return merge(merged, own);
  }, {});
  return { layers: { files, settings }, problems: [] };
}

function atExtends(problem: Problem, from: Location | undefined): Problem {
  return from && !problem.location ? { ...problem, path: ["extends"], location: from } : problem;
}

/** The base with everything of the derived settings on top: mappings key by key, anything else as a whole. */
export function merge(
  base: Record<string, unknown>,
  derived: Record<string, unknown>,
): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(derived)) {
    const below = merged[key];
    // A section whose keys are all commented out says nothing about the base's.
    if (isRecord(below) && value === null) continue;
    merged[key] = isRecord(below) && isRecord(value) ? merge(below, value) : value;
  }
  return merged;
}

/** Where a setting stands: its value in the most derived file that has it, else the nearest section around it. */
export function locate(files: readonly SourceFile[], path: SettingPath): Location | undefined {
  for (let length = path.length; length > 0; length--) {
    const part = path.slice(0, length);
    for (const file of files) {
      const location = file.locate(part);
      if (location) return location;
    }
  }
  const first = files[0];
  return first && { file: first.file, line: 1, column: 1 };
}

/** Where an unknown key stands. */
export function locateKey(files: readonly SourceFile[], path: SettingPath): Location | undefined {
  for (const file of files) {
    const location = file.locateKey(path);
    if (location) return location;
  }
  return locate(files, path);
}
