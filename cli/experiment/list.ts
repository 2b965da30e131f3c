import { basename } from "node:path";
import { experimentNames } from "../../config/load/load.ts";
import { readLayers } from "../../config/load/layers.ts";
import { ConfigError } from "../../config/load/problem.ts";
import { decide, selectStack } from "../decide.ts";
import { type Answer, type Command, parse, rootOption, table } from "./command.ts";

const usage = `Usage: npm run -s experiment -- list [--site SITE] [--json]

Lists the experiments in config/, each as the stack of its name would run it.

  --site SITE          check against config/sites/SITE.yaml (default: what the stack's file names, else lab)
  --json               as JSON
${rootOption}

Exit codes: 0 listed, also when some experiments have problems; 2 wrong usage.
`;

export const listCommand: Command = {
  summary: "list the experiments in config/, and whether their settings are sound",
  usage,
  run: list,
};

interface Row {
  readonly name: string;
  readonly extends: string | undefined;
  /** Undefined if the settings have problems: then no Plan holds. */
  readonly plan:
    | {
        tier: string;
        gpus: number;
        model: string;
        scaffold: string;
        batch: readonly [number, number];
      }
    | undefined;
  readonly problems: number;
}

function list(args: readonly string[]): Answer {
  const { values, root } = parse(args, [], ["site", "json"]);
  const rows = experimentNames(root).map((name) => describe(root, name, values.site));
  if (values.json) {
    return { output: JSON.stringify(rows.map(asJson), null, 2), warnings: [] };
  }
  const unsound = rows.filter(({ problems }) => problems > 0).length;
  return {
    output: [
      ...table([
        ["NAME", "EXTENDS", "TIER", "GPUS", "MODEL", "SCAFFOLD", "BATCH", "SETTINGS"],
        ...rows.map(cells),
      ]),
      ...(unsound === 0
        ? []
        : ["", `${unsound} with problems; npm run -s plan -- NAME shows them.`]),
    ].join("\n"),
    warnings: [],
  };
}

function describe(root: string, name: string, site: string | undefined): Row {
  const base = readLayers(root, `config/${name}.yaml`).layers?.files[0]?.settings["extends"];
  const row = { name, extends: typeof base === "string" ? base : undefined };
  try {
    const { settings, plan } = decide(root, {
      ...selectStack(root, name, site),
      experiment: name,
    });
    const { prompts, trialsPerPrompt } = plan.batches;
    return {
      ...row,
      plan: {
        tier: plan.topology.tier,
        gpus: plan.topology.gpuNodes * plan.topology.gpusPerNode,
        model: basename(settings.experiment.model.model_path),
        scaffold: plan.scaffold.name,
        batch: [prompts, trialsPerPrompt],
      },
      problems: 0,
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { ...row, plan: undefined, problems: error.problems.length };
  }
}

function cells({ name, extends: base, plan, problems }: Row): string[] {
  return [
    name,
    base ?? "-",
    ...(plan
      ? [plan.tier, String(plan.gpus), plan.model, plan.scaffold, plan.batch.join(" × "), "sound"]
      : ["-", "-", "-", "-", "-", problems === 1 ? "1 problem" : `${problems} problems`]),
  ];
}

function asJson({ name, extends: base, plan, problems }: Row): unknown {
  return { name, extends: base ?? null, ...plan, problems };
}
