import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { isRecord } from "../../config/load/document.ts";
import { summarize } from "../../plan/summary/index.ts";
import { formatPath, type SettingPath } from "../../config/load/problem.ts";
import { settingsOf } from "../docs/reference.ts";
import { experiment } from "../../config/schema/experiment.ts";
import { looksSecret } from "../../config/schema/secret-name.ts";
import { type Decided, decide, selectStack } from "../decide.ts";
import { type Answer, type Command, parse, rootOption, table } from "./command.ts";

const usage = `Usage: npm run -s experiment -- show NAME [--site SITE]

Shows what sets an experiment apart from the defaults, and where that is written, then the main decisions of its
Plan. npm run -s plan -- NAME shows all of them.

  NAME                 an experiment, or a stack whose file names one
  --site SITE          plan for config/sites/SITE.yaml (default: what the stack's file names, else lab)
${rootOption}

Exit codes: 0 shown, 1 the settings are wrong, 2 wrong usage.
`;

export const showCommand: Command = {
  summary: "show the settings that differ from the defaults, where they stand, and what follows",
  usage,
  run: show,
};

/** Sections of the summary that are long; `npm run plan` shows them. */
const left = new Set(["Ports", "Network", "Command", "Environment", "Outputs"]);

function show(args: readonly string[]): Answer {
  const { values, positionals, root } = parse(args, ["NAME"], ["site"]);
  const [name = ""] = positionals;
  const decided = decide(root, selectStack(root, name, values.site));
  const sections = summarize(decided.plan)
    .split("\n\n")
    .filter((section) => !left.has(section.split("\n", 1)[0] ?? ""));
  return {
    output: [
      `Settings of ${name} that differ from the defaults (site ${decided.settings.siteName})`,
      ...table(changedSettings(decided)).map((line) => `  ${line}`),
      "",
      sections.join("\n\n"),
    ].join("\n"),
    warnings: decided.warnings,
  };
}

/** Name, value and place of every setting that is not the schema's default. */
function changedSettings({ settings, locate }: Decided): string[][] {
  const defaults = new Map(
    settingsOf(experiment).map((setting) => [setting.path.join("."), setting.default]),
  );
  return leaves(settings.experiment, []).flatMap(({ path, value }) => {
    if (isDeepStrictEqual(value, defaults.get(path.join(".")))) return [];
    const place = locate(path);
    return [[formatPath(path), shown(path, value), place ? `${place.file}:${place.line}` : ""]];
  });
}

interface Leaf {
  readonly path: SettingPath;
  readonly value: unknown;
}

function leaves(value: unknown, path: SettingPath): Leaf[] {
  if (value === undefined) return [];
  if (!isRecord(value)) return [{ path, value }];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

function shown(path: SettingPath, value: unknown): string {
  if (looksSecret(String(path.at(-1)))) return "(not shown)";
  return stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trimEnd();
}
