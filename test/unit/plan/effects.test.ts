import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type Combination,
  combinations,
  distributions,
  type Effect,
  effectsFor,
  engines,
  needs,
  outsideThePlan,
} from "../../support/effects.ts";
import { tiers } from "../../../config/schema/experiment.ts";
import { projectRoot } from "../../support/settings.ts";

/** Settings of a site that only some stacks have a use for: a site is shared by all of them. */
const ofSomeStacks: Readonly<Record<string, string>> = {
  "site.images.litellm": "stacks with LiteLLM",
};

interface Seen {
  readonly combination: Combination;
  readonly effect: Effect;
}

describe("every setting, for each tier, engine and distribution", () => {
  const effects = new Map<string, Seen[]>();
  for (const combination of combinations) {
    for (const [path, effect] of effectsFor(combination)) {
      effects.set(path, [...(effects.get(path) ?? []), { combination, effect }]);
    }
  }

  it("reaches something, or is refused or warned of", () => {
    const none = [...effects].filter(
      ([path, seen]) =>
        !(path in outsideThePlan || path in ofSomeStacks) &&
        seen.some(({ effect }) => effect.kind === "none"),
    );
    expect(none.map(([path]) => path)).toEqual([]);
  });

  it("needs an exception only where it is one", () => {
    const exceptions = Object.keys({ ...outsideThePlan, ...ofSomeStacks });
    const needed = exceptions.filter((path) =>
      effects.get(path)?.some(({ effect }) => effect.kind === "none"),
    );
    expect(needed).toEqual(exceptions);
  });

  it("has its row in docs/effects.md, which this test writes where it is missing", async () => {
    await expect(page(effects)).toMatchFileSnapshot(join(projectRoot, "docs/effects.md"));
  });
});

const introduction = `# Where settings take effect

Made by a test that plans every tier with every engine, as the fork and as stock verl (0.9.1), changes one setting at a time, and compares the Plans. A setting without effect is
refused or warned of where it is written, or the test fails. Keys of verl's command line and variables of its environment are in code; other words are parts of the Plan.

| Setting | Reaches | Not, with the reason |
| --- | --- | --- |
`;

/** Most places that a row names. */
const mostNamed = 5;

function page(effects: ReadonlyMap<string, readonly Seen[]>): string {
  const rows = [...effects].map(([path, seen]) => {
    const places = new Set(
      seen.flatMap(({ effect }) => (effect.kind === "planned" ? effect.places : [])),
    );
    const outside = outsideThePlan[path];
    const named = [...(outside === undefined ? [] : [outside]), ...places];
    const more = named.length > mostNamed ? ` and ${named.length - mostNamed} more` : "";
    const reached = named.slice(0, mostNamed).join(", ") + more;
    const needed = needs(path).map((one) => `\`${one}\``);
    const beside = needed.length > 0 ? `, beside ${needed.join(" and ")}` : "";
    return `| \`${path}\` | ${reached}${beside} | ${exceptions(path, seen)} |`;
  });
  return `${introduction}${rows.sort().join("\n")}\n`;
}

function exceptions(path: string, seen: readonly Seen[]): string {
  const reasons = Map.groupBy(seen, ({ effect }) => reasonOf(path, effect));
  return [...reasons]
    .filter(([reason]) => reason !== undefined)
    .map(([reason, of]) => `${where(of.map(({ combination }) => combination))}${reason ?? ""}`)
    .join("; ");
}

function reasonOf(path: string, effect: Effect): string | undefined {
  switch (effect.kind) {
    case "planned":
      return undefined;
    case "refused":
      return `refused by \`${effect.rule}\``;
    case "warned":
      return effect.reason;
    case "none":
      return path in outsideThePlan ? undefined : `only ${ofSomeStacks[path] ?? "nothing"}`;
  }
}

/** Combinations in words: first what holds for a whole tier, engine or distribution, then the rest. */
function where(seen: readonly Combination[]): string {
  if (seen.length === combinations.length) return "";
  const words: string[] = [];
  let rest = seen;
  for (const [key, value] of slices) {
    const all = combinations.filter((one) => one[key] === value);
    if (!all.every((one) => seen.includes(one))) continue;
    words.push(value);
    rest = rest.filter((one) => one[key] !== value);
  }
  const others = rest.map(({ tier, engine, distribution }) => `${tier}/${engine}/${distribution}`);
  return `${[...words, ...others].join(", ")}: `;
}

const slices = [
  ...tiers.map((tier) => ["tier", tier] as const),
  ...engines.map((engine) => ["engine", engine] as const),
  ...distributions.map((distribution) => ["distribution", distribution] as const),
];
