/** One damaged configuration through load, Plan and the checks that need no cluster. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { load } from "../../../config/load/load.ts";
import { summarize, planAsJson } from "../../../plan/summary/index.ts";
import { ConfigError, describeProblem, type Problem } from "../../../config/load/problem.ts";
import { isFatal } from "../../../preflight/evaluate.ts";
import { preflight } from "../../../preflight/preflight.ts";
import { describe } from "../../../preflight/report.ts";
import { Random } from "./random.ts";
import { mutateStructure } from "./structure.ts";
import { mutateText } from "./text.ts";

const root = join(import.meta.dirname, "../../..");

/** `refused`: with located problems. `accepted`: with a Plan. */
export type Outcome = "refused" | "accepted";

/** The project's own files, by their path in it. */
const shipped = new Map(
  ["config", "config/sites"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(".yaml"))
      .map(
        (name) => [`${folder}/${name}`, readFileSync(join(root, folder, name), "utf8")] as const,
      ),
  ),
);
const files = [...shipped.keys()];
const texts = [...shipped.values()];

/** A stack that reads a damaged file: what it selects, and all files that it may read. */
export interface Case {
  readonly experiment: string;
  readonly site: string;
  readonly drafts: ReadonlyMap<string, string>;
}

/** The same seed makes the same case. */
export function caseOf(seed: number): Case {
  const random = new Random(seed);
  const drafts = new Map([...shipped].map(([file, text]) => [resolve(root, file), text]));
  const damaged = random.pick(files);
  const text = shipped.get(damaged) ?? "";
  const mutated = random.chance(0.45)
    ? mutateStructure(text, random, texts)
    : mutateText(text, random);
  drafts.set(resolve(root, damaged), mutated);
  const name = damaged.replace(/^config\/(sites\/)?|\.yaml$/g, "");
  const isSite = damaged.includes("/sites/");
  const isExperiment = !isSite && name !== "models";
  return {
    experiment: isExperiment ? name : random.pick(["single-node", "three-node", "smoke"]),
    site: isSite ? name : random.pick(["lab", "example"]),
    drafts,
  };
}

/** @throws {Error} If the case shows anything but located problems or a Plan. */
export async function tryCase({ experiment, site, drafts }: Case): Promise<Outcome> {
  const selection = { stack: "fuzz", experiment, site, secrets: new Set<string>() };
  try {
    const loaded = load(root, selection, drafts);
    for (const warning of loaded.warnings) demandPlace(warning);
    const { plan, findings } = await preflight(loaded, { offline: true });
    for (const finding of findings) {
      demandText(describe(finding));
      if (finding.path !== undefined && finding.path.length > 0) demandLocation(finding.location);
    }
    if (findings.some(isFatal)) return "refused";
    demandText(summarize(plan));
    JSON.stringify(planAsJson(plan));
    return "accepted";
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (error.problems.length === 0) throw new Error("refused without a problem");
    for (const problem of error.problems) demandPlace(problem);
    return "refused";
  }
}

function demandPlace(problem: Problem): void {
  demandText(describeProblem(problem));
  if (problem.message.trim() === "") throw new Error("a problem without a message");
  demandLocation(problem.location);
}

function demandLocation(location: Problem["location"]): void {
  if (!location) throw new Error("a problem without a place");
  if (!location.file.endsWith(".yaml") || location.line < 1 || location.column < 1) {
    throw new Error(`a strange place: ${JSON.stringify(location)}`);
  }
}

/** Nothing that only a programmer could read. */
function demandText(text: string): void {
  const [slip] =
    /\[object |\bundefined\b|\bNaN trials|\n\s+at \S+ \(|node:internal/.exec(text) ?? [];
  if (slip !== undefined) throw new Error(`"${slip}" in: ${text.slice(0, 500)}`);
}
