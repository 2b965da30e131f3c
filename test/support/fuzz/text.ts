/** Damage to the text of a YAML file, whatever it means. */
import type { Random } from "./random.ts";

export type Mutation = (text: string, random: Random) => string;

const tokens = [
  "&a ",
  "*a",
  "<<: *a",
  "!!binary ",
  "!!set ",
  "!!timestamp ",
  "!!js/function ",
  "!foo ",
  "? ",
  "- ",
  "| ",
  ">-\n",
  "---\n",
  "...\n",
  "%YAML 1.1\n---\n",
  "{",
  "}",
  "[",
  "]",
  '"',
  "'",
  ": ",
  ",",
  "#",
  "\t",
  "\r",
  "\0",
  "\uFEFF",
  "\uFFFD",
  "\u2028",
  "\uD800",
  "é",
  "${x}",
  "~",
  "0x1F",
  "1e999",
  ".nan",
  "-.inf",
  "-0",
  "9".repeat(400),
  "2026-11-24",
  "__proto__: {}",
];

const bytes: Mutation = (text, random) => {
  const at = random.below(text.length + 1);
  const byte = String.fromCharCode(random.below(256));
  return text.slice(0, at) + byte + text.slice(at + random.below(2));
};

const insert: Mutation = (text, random) => {
  const at = random.below(text.length + 1);
  return text.slice(0, at) + random.pick(tokens) + text.slice(at);
};

const remove: Mutation = (text, random) => {
  const at = random.below(text.length + 1);
  return text.slice(0, at) + text.slice(at + 1 + random.below(40));
};

const repeat: Mutation = (text, random) => {
  const at = random.below(text.length + 1);
  const piece = text.slice(at, at + 1 + random.below(80));
  return text.slice(0, at) + piece.repeat(1 + random.below(20)) + text.slice(at);
};

const truncate: Mutation = (text, random) => text.slice(0, random.below(text.length + 1));

const onLines =
  (change: (lines: string[], random: Random) => void): Mutation =>
  (text, random) => {
    const lines = text.split("\n");
    change(lines, random);
    return lines.join("\n");
  };

const swapLines = onLines((lines, random) => {
  const [a, b] = [random.below(lines.length), random.below(lines.length)];
  [lines[a], lines[b]] = [lines[b] ?? "", lines[a] ?? ""];
});

/** A key that stands twice, mostly. */
const repeatLine = onLines((lines, random) => {
  const line = lines[random.below(lines.length)] ?? "";
  lines.splice(random.below(lines.length), 0, line);
});

const indent = onLines((lines, random) => {
  const at = random.below(lines.length);
  lines[at] = random.pick(["", " ", "  ", "    ", "\t"]) + (lines[at] ?? "").trimStart();
});

/** Replaces what stands behind a colon. */
const revalue = onLines((lines, random) => {
  const at = random.below(lines.length);
  lines[at] = (lines[at] ?? "").replace(/:.*/s, () => `: ${random.pick(tokens)}`);
});

/** Aliases of aliases: a few lines that would be gigabytes. */
const manyAliases: Mutation = (text, random) => {
  const depth = 2 + random.below(12);
  const width = 2 + random.below(10);
  const lines = ["a0: &a0 [x, x]"];
  for (let i = 1; i < depth; i++) {
    lines.push(
      `a${i}: &a${i} [${Array<string>(width)
        .fill(`*a${i - 1}`)
        .join(", ")}]`,
    );
  }
  const where = random.pick(["", "model: ", "serving: "]);
  return `${lines.join("\n")}\n${where === "" ? "" : `${where}*a${depth - 1}\n`}${text}`;
};

const ownAlias: Mutation = (text, random) =>
  random.pick([
    `${text}\nserving: &s [*s]\n`,
    `${text}\nmodel: &m { model_path: *m }\n`,
    `&root\nself: *root\n${text}`,
    `${text}\nvllm: { <<: [*nothing] }\n`,
    `%YAML 1.1\n---\n${text}\nserving: !!set { a, b }\n`,
    `%YAML 1.1\n---\n${text}\nserving: !!omap [a: 1]\n? !!binary aGk=\n: 1\n`,
    `%YAML 1.1\n---\n${text}\nx: &x { tier: two-node }\n<<: *x\n`,
    `${text}\nbase: &base { gen_tp: 2 }\nvllm: { <<: *base }\n`,
  ]);

const deep: Mutation = (text, random) => {
  const depth = random.pick([50, 500, 3000, 20_000]);
  return random.pick([
    `${text}\nserving: ${"[".repeat(depth)}${"]".repeat(random.chance(0.5) ? depth : 0)}\n`,
    `${text}\nmodel: ${"{ a: ".repeat(depth)}1${" }".repeat(depth)}\n`,
    `${text}\n${"- ".repeat(depth)}x\n`,
    `${text}\n? ${"? ".repeat(depth)}x\n`,
  ]);
};

const huge: Mutation = (text, random) =>
  random.pick([
    `${text}\nlong: "${"x".repeat(100_000)}"\n`,
    `${text}\n${"k".repeat(50_000)}: 1\n`,
    `${text}\n${Array.from({ length: 2000 }, (_, i) => `k${i}: ${i}`).join("\n")}\n`,
    `${text}\nserving: [${"{}, ".repeat(500)}]\n`,
    `${text}\npreflight: { waive: [${"{}, ".repeat(300)}] }\n`,
  ]);

/** Each as often as it is worth: the expensive ones seldom. */
const weighted: readonly (readonly [weight: number, mutation: Mutation])[] = [
  [20, bytes],
  [20, insert],
  [10, remove],
  [8, repeat],
  [4, truncate],
  [8, swapLines],
  [8, repeatLine],
  [8, indent],
  [12, revalue],
  [4, manyAliases],
  [4, ownAlias],
  [1, deep],
  [1, huge],
];

const mutations = weighted.flatMap(([weight, mutation]) => Array<Mutation>(weight).fill(mutation));

/** One to four kinds of damage on top of each other. */
export function mutateText(text: string, random: Random): string {
  let mutated = text;
  for (let left = 1 + random.below(4); left > 0; left--) {
    mutated = random.pick(mutations)(mutated, random);
  }
  return mutated;
}
