/** Times a preview of the largest tier, and previews with many stacks in one state backend. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Frame, median, repeat, stack } from "./frame.ts";

/** Stacks in the backend. */
const counts = [1, 10, 100] as const;
const tier = "three-node";

/** Fills the backends with copies of a stack, and times previews in turn. */
export function benchScale(frame: Frame, runs: number): string {
  frame.pulumi("stack", "stack", "init", tier);
  const lines = counts.map((stacks) => {
    for (const subject of ["stack", "empty"] as const) fill(frame.folder(subject), stacks);
    const seconds = repeat(runs, () => ({
      tier: frame.pulumi("stack", "preview", "-s", tier),
      empty: frame.pulumi("empty", "preview", "-s", stack),
    }));
    const [a, b] = [median(seconds.tier), median(seconds.empty)];
    return `${String(stacks).padStart(6)}  ${a.toFixed(2).padStart(8)}  ${b.toFixed(2).padStart(8)}  ${(a / b).toFixed(2).padStart(5)}`;
  });
  return [
    `\nSeconds of a preview of ${tier} and of the empty program, medians of ${runs} runs`,
    "stacks  preview      empty  ratio",
    ...lines,
    "",
  ].join("\n");
}

/** Adds stacks of other names with the same state, as after that many experiments. */
function fill(project: string, stacks: number): void {
  const folder = join(project, "backend/.pulumi/stacks/swe-rl");
  const states = readdirSync(folder).filter((name) => name.endsWith(".json"));
  const [file] = states;
  if (file === undefined) throw new Error(`no stack in ${folder}`);
  const text = readFileSync(join(folder, file), "utf8");
  const name = file.slice(0, -".json".length);
  for (let i = states.length; i < stacks; i++) {
    const copy = `copy-${i}`;
    writeFileSync(join(folder, `${copy}.json`), text.replaceAll(`::${name}::`, `::${copy}::`));
    cpSync(join(folder, `${name}.json.attrs`), join(folder, `${copy}.json.attrs`));
  }
}
