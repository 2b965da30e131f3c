/** What a preview costs on the largest tier, and with many stacks in one state backend. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { median } from "./report.ts";

/** Stacks in the backend. */
const counts = [1, 10, 100] as const;
const tier = "three-node";

export interface Scale {
  readonly runs: number;
  /** Seconds of a preview of the largest tier, and of the empty program, by number of stacks. */
  readonly seconds: readonly {
    readonly stacks: number;
    readonly tier: readonly number[];
    readonly empty: readonly number[];
  }[];
}

/** Fills the backends with copies of a stack, and times previews in turn. */
export function measureScale(bench: Bench, runs: number): Scale {
  bench.time("pulumi", ["stack", "init", tier, "--non-interactive"], "stack");
  const preview = (stack: string) => ["preview", "-s", stack, "--non-interactive"];
  const seconds = counts.map((stacks) => {
    for (const subject of ["stack", "empty"] as const) fill(bench.folder(subject), stacks);
    const measured = { stacks, tier: [] as number[], empty: [] as number[] };
    for (let run = 0; run <= runs; run++) {
      const times = {
        tier: bench.time("pulumi", preview(tier), "stack"),
        empty: bench.time("pulumi", preview("single-node"), "empty"),
      };
      if (run === 0) continue;
      measured.tier.push(times.tier);
      measured.empty.push(times.empty);
    }
    return measured;
  });
  return { runs, seconds };
}

/** Stacks of other names with the same state: what a backend holds after as many experiments. */
function fill(project: string, stacks: number): void {
  const folder = join(project, "backend/.pulumi/stacks/swe-rl");
  const [file] = readdirSync(folder).filter((name) => name.endsWith(".json"));
  if (file === undefined) throw new Error(`no stack in ${folder}`);
  const text = readFileSync(join(folder, file), "utf8");
  const name = file.slice(0, -".json".length);
  mkdirSync(join(project, "stacks"), { recursive: true });
  const own = readdirSync(folder).filter((entry) => entry.endsWith(".json")).length;
  for (let i = own; i < stacks; i++) {
    const copy = `copy-${i}`;
    writeFileSync(join(folder, `${copy}.json`), text.replaceAll(`::${name}::`, `::${copy}::`));
    const attributes = join(folder, `${name}.json.attrs`);
    cpSync(attributes, join(folder, `${copy}.json.attrs`));
  }
}

export function reportScale({ runs, seconds }: Scale): string {
  const lines = seconds.map(({ stacks, tier: ours, empty }) => {
    const [a, b] = [median(ours), median(empty)];
    return `${String(stacks).padStart(6)}  ${a.toFixed(2).padStart(8)}  ${b.toFixed(2).padStart(8)}  ${(a / b).toFixed(2).padStart(5)}`;
  });
  return [
    `\nSeconds of a preview of ${tier} and of the empty program, medians of ${runs} runs`,
    "stacks  preview      empty  ratio",
    ...lines,
    "",
  ].join("\n");
}
