import { stringify } from "yaml";
import { experimentFile } from "./json-schema.ts";
import { type SettingReference, settingsOf } from "./reference.ts";
import { models } from "../../config/schema/models.ts";
import { dockerSite } from "../../config/schema/docker-site.ts";
import { kubernetesSite } from "../../config/schema/site.ts";
import { code, linked, markdownTable } from "./markdown.ts";

const files = [
  {
    title: "Experiment",
    schema: experimentFile,
    about:
      "`config/<experiment>.yaml`: everything about one run. What `extends` names is the base; mappings are merged key by key, anything else replaces the base's value. A key without a value counts as left out.",
  },
  {
    title: "Site",
    schema: kubernetesSite,
    about: "`config/sites/<site>.yaml`: facts about one cluster, shared by all experiments on it.",
  },
  {
    title: "Docker site",
    schema: dockerSite,
    about:
      "`config/sites/<site>.yaml` with `kind: docker`: facts about one GPU machine with Docker. docs/docker.md says what a stack makes there.",
  },
  {
    title: "Models",
    schema: models,
    about:
      "`config/models.yaml`: facts about policies. `<name>` is the name of the checkpoint directory, the last part of `model.model_path`.",
  },
] as const;

/** docs/settings.md */
export function settingsPage(): string {
  const parts = files.flatMap(({ title, schema, about }) => [
    `## ${title}`,
    linked(about),
    ...sections(settingsOf(schema)),
  ]);
  return `${["# Settings", "Made by `npm run docs` from the schema; do not edit.", ...parts].join("\n\n")}\n`;
}

/** One table for the keys at the root, then one for every section. */
function sections(settings: readonly SettingReference[]): string[] {
  const sectionOf = ({ path, type }: SettingReference) =>
    path.length > 1 || type === undefined ? (path[0] ?? "") : "";
  const grouped = Map.groupBy(settings, sectionOf);
  return [...grouped].flatMap(([section, all]) => {
    const rows = all.filter(({ type }) => type !== undefined);
    const about = all.find(({ path }) => path.length === 1 && section !== "")?.description;
    return [
      ...(section === "" || section === "<name>" ? [] : [`### ${section}`]),
      ...(about ? [linked(about)] : []),
      ...(rows.length > 0
        ? [markdownTable(["Key", "Type", "Default", "Meaning"], rows.map(row))]
        : []),
    ];
  });
}

function row(setting: SettingReference): string[] {
  const { path, type = "", required, description } = setting;
  return [
    code(path.join(".")),
    type.length > longestType ? "one of a list, which an editor offers" : type,
    required ? "**required**" : setting.default === undefined ? "" : shown(setting.default),
    linked(description),
  ];
}

/** Characters; the ids of all rules are more. */
const longestType = 600;

function shown(value: unknown): string {
  if (value === "") return "(empty)";
  return code(stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trimEnd());
}
