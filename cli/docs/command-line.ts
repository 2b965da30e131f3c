import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import type { Plan } from "../../plan/plan.ts";
import { ConfigError } from "../../config/load/problem.ts";
import { tiers } from "../../config/schema/experiment.ts";
import { decide } from "../decide.ts";
import { type Decision, type Decisions, decisionsOf } from "../decisions.ts";
import { code, markdownTable, sourceLinks, sourceSeparator } from "./markdown.ts";

/** Experiments that this project ships beside one for every tier. */
const further = [
  "smoke",
  "single-node-dense",
  "single-node-stock",
  "two-node-stock",
  "three-node-veomni",
];

/** What an engine needs of an experiment that was written for another one. */
const engines = {
  fsdp: {},
  veomni: {},
  megatron: { training: { sp_size: 1, fsdp_size: -1, tp_size: 4, pp_size: 2 } },
} satisfies Record<Plan["engine"]["name"], object>;

/** The pages show one stack of this name on this site, so that nothing depends on a name or on a real cluster. */
const stack = "stack";
const site = "example";

interface Column {
  readonly title: string;
  readonly decisions: Decisions;
}

/** docs/command-line.md */
export function commandLinePage(root: string): string {
  const { columns, refused } = columnsOf(root);
  return `${[
    "# Command line and environment",
    "Made by `npm run docs` from the Plan; do not edit.",
    "What verl is started with, and the environment of every training pod. Source is the setting (" +
      "[settings.md](settings.md)) or the decision ([decisions.md](decisions.md)) that a value comes from. An empty cell means the " +
      "value of the first stack, `-` that this one does not set it. The stack is called `stack` here, the site is " +
      "[example.yaml](../config/sites/example.yaml).",
    "## Command",
    table(columns, "trainer.command", "Part"),
    "## Hydra overrides",
    "`++` adds a key that verl's own configuration does not have.",
    table(columns, "override ", "Key"),
    "## Environment",
    "Secrets come from Kubernetes Secrets; their values are nowhere else.",
    table(columns, "environment ", "Variable"),
    ...(refused.length > 0
      ? [
          "## Not offered",
          "A tier's experiment with nothing but its engine changed:",
          refused.join("\n"),
        ]
      : []),
  ].join("\n\n")}\n`;
}

/** A column for every shipped experiment, then one for every tier with each other engine that it can take. */
function columnsOf(root: string): { columns: Column[]; refused: string[] } {
  const shipped = [...tiers, ...further]
    .filter((name) => existsSync(join(root, `config/${name}.yaml`)))
    .map((name) => ({ name, plan: planOf(root, name) }));
  const columns = shipped.map(({ name, plan }): Column => ({
    title: name,
    decisions: decisionsOf(plan),
  }));
  const refused: string[] = [];
  for (const { name, plan } of shipped.filter(({ name }) => !further.includes(name))) {
    for (const [engine, needs] of Object.entries(engines)) {
      if (engine === plan.engine.name) continue;
      const title = `${name}, ${engine}`;
      const text = stringify({ extends: `${name}.yaml`, verl: { engine }, ...needs });
      try {
        columns.push({ title, decisions: decisionsOf(planOf(root, "engine", text)) });
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        const reasons = error.problems.map(
          ({ path, message }) => `${code(path.join("."))} ${message}`,
        );
        refused.push(`- ${title}: ${reasons.join(" ")}`);
      }
    }
  }
  return { columns, refused };
}

/** The Plan of an experiment of this project, or of one that stands only here. */
function planOf(root: string, experiment: string, text?: string): Plan {
  const secrets = new Set(["wandbApiKey"]);
  const drafts =
    text === undefined ? undefined : new Map([[resolve(root, `config/${experiment}.yaml`), text]]);
  return decide(root, { stack, experiment, site, secrets }, drafts).plan;
}

function table(columns: readonly Column[], kind: string, head: string): string {
  const keys = new Set(
    columns.flatMap(({ decisions }) => [...decisions.keys()].filter((key) => key.startsWith(kind))),
  );
  const rows = [...keys].map((key) => {
    const decisions = columns.map((column) => column.decisions.get(key));
    const sources = new Set(
      decisions.flatMap((decision) => decision?.source?.split(sourceSeparator) ?? []),
    );
    const values = decisions.map(shown);
    return [
      code(key.slice(kind.length) || "command"),
      sourceLinks([...sources].join(sourceSeparator)),
      ...values.map((value, i) => (i > 0 && value === values[0] ? "" : value)),
    ];
  });
  return markdownTable([head, "Source", ...columns.map(({ title }) => title)], rows);
}

function shown(decision: Decision | undefined): string {
  if (decision === undefined) return "-";
  return decision.unknown ? `*${decision.unknown}:* ${code(decision.value)}` : code(decision.value);
}
