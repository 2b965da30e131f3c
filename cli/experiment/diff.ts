import { plan } from "../../plan/plan.ts";
import { ConfigError } from "../../config/load/problem.ts";
import { type Decided, decide, selectStack } from "../decide.ts";
import { type Answer, type Command, parse, rootOption, table } from "./command.ts";
import { type Decision, type Decisions, decisionsOf } from "../decisions.ts";

const usage = `Usage: npm run -s experiment -- diff A B [--site SITE] [--json]

Shows what differs between the Plans of two experiments: not the text of their files, but what would run.
Every line names the decision, its value in A and in B, and the setting or rule behind it where the Plan knows it.
Names that only follow from the stacks' names (namespaces, labels, run, directories) are counted, not listed.

  A, B                 experiments, or stacks whose files name one
  --site SITE          plan both for config/sites/SITE.yaml (default: what each stack's file names, else lab)
  --json               as JSON; "names" are the decisions that only follow from the stacks' names
${rootOption}

Exit codes: 0 compared, whether or not they differ; 1 the settings of one are wrong; 2 wrong usage.
`;

export const diffCommand: Command = {
  summary: "show what differs between the Plans of two experiments",
  usage,
  run: diff,
};

interface Difference {
  readonly decision: string;
  /** Undefined where that Plan has no such decision. */
  readonly a: string | undefined;
  readonly b: string | undefined;
  readonly source: string | undefined;
}

function diff(args: readonly string[]): Answer {
  const { values, positionals, root } = parse(args, ["A", "B"], ["site", "json"]);
  const [nameA = "", nameB = ""] = positionals;
  const [a, b] = decideBoth([nameA, nameB], (name) =>
    decide(root, selectStack(root, name, values.site)),
  );
  const { differences, names } = compare(a, b);
  return {
    output: values.json
      ? JSON.stringify({ a: nameA, b: nameB, differences, names }, null, 2)
      : describe([nameA, nameB], differences, names),
    warnings: [...new Set([...a.warnings, ...b.warnings])],
  };
}

/** Both at once, so that the problems of both are reported. */
function decideBoth(
  names: readonly [string, string],
  decideOne: (name: string) => Decided,
): [Decided, Decided] {
  const problems = new Map<string, ConfigError["problems"][number]>();
  const [a, b] = names.map((name) => {
    try {
      return decideOne(name);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const problem of error.problems) problems.set(JSON.stringify(problem), problem);
      return undefined;
    }
  });
  if (!a || !b) throw new ConfigError([...problems.values()]);
  return [a, b];
}

/**
 * What differs although both stacks had the same name is a difference; what differs only because they have not,
 * is a name. Values are shown as each stack really has them.
 */
function compare(a: Decided, b: Decided): { differences: Difference[]; names: string[] } {
  const [ofA, ofB] = [decisionsOf(a.plan), decisionsOf(b.plan)];
  const renamed = decisionsOf(plan({ ...b.settings, stack: a.settings.stack }));
  const real = changed(ofA, renamed);
  const differences = real.map((key): Difference => ({
    decision: key,
    a: shown(ofA.get(key)),
    b: shown(ofB.get(key) ?? renamed.get(key)),
    source: sourcesOf(ofA.get(key), renamed.get(key)),
  }));
  const listed = new Set(real);
  return { differences, names: changed(ofA, ofB).filter((key) => !listed.has(key)) };
}

function sourcesOf(...decisions: readonly (Decision | undefined)[]): string | undefined {
  const sources = new Set(decisions.flatMap((decision) => decision?.source ?? []));
  return sources.size > 0 ? [...sources].join("; ") : undefined;
}

function shown(decision: Decision | undefined): string | undefined {
  return decision?.unknown ? `(${decision.unknown}: ${decision.value})` : decision?.value;
}

function changed(a: Decisions, b: Decisions): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter(
    (key) => shown(a.get(key)) !== shown(b.get(key)),
  );
}

function describe(
  [a, b]: readonly [string, string],
  differences: readonly Difference[],
  names: readonly string[],
): string {
  const rows = differences.map((difference) => [
    difference.decision,
    difference.a ?? "-",
    difference.b ?? "-",
    difference.source ?? "",
  ]);
  const count = differences.length;
  const summary = [
    count === 0
      ? `The Plans of ${a} and ${b} do not differ.`
      : `${count} ${count === 1 ? "decision differs" : "decisions differ"}.`,
    ...(names.length === 0
      ? []
      : [`${names.length} more only follow from the names of the stacks, or of the run.`]),
  ].join(" ");
  return [...table(count === 0 ? [] : [["DECISION", a, b, "SOURCE"], ...rows]), summary].join("\n");
}
