import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Document, isMap, parseDocument, Scalar } from "yaml";
import { experimentNames } from "../../config/load/load.ts";
import { nearest } from "../../config/load/suggest.ts";
import { knownPaths } from "../../config/load/validate.ts";
import { ConfigError } from "../../config/load/problem.ts";
import { experiment } from "../../config/schema/experiment.ts";
import { decide } from "../decide.ts";
import { readStackFile } from "../stack-file.ts";
import { CommandError, UsageError } from "../command.ts";
import { type Answer, type Command, parse, rootOption } from "./command.ts";

const usage = `Usage: npm run -s experiment -- new NAME --from EXPERIMENT [--set key=value …] [--site SITE]

Writes config/NAME.yaml, which extends config/EXPERIMENT.yaml, and prints Pulumi's own commands for its stack.
Settings that are wrong are refused before anything is written; an existing file is left alone.

  NAME                 name of the experiment and of its stack: lower-case letters, digits, inner hyphens
  --from EXPERIMENT    any experiment in config/: a tier such as single-node, or one of your own
  --set key=value      a setting, for example training.train_batch_size=32; the value is YAML, a list or mapping
                       in flow style: [a, b]. May be repeated.
  --site SITE          check against config/sites/SITE.yaml (default: lab)
${rootOption}

Secrets do not belong here: pulumi config set --secret swe-rl:wandbApiKey
Exit codes: 0 written, 1 the settings are wrong or the file exists, 2 wrong usage.
`;

export const newCommand: Command = {
  summary: "write config/NAME.yaml, based on another experiment",
  usage,
  run: create,
};

function create(args: readonly string[]): Answer {
  const { values, positionals, root } = parse(args, ["NAME"], ["from", "set", "site"]);
  const [name = ""] = positionals;
  if (values.from === undefined) throw new UsageError("--from EXPERIMENT is missing.");
  const base = existingExperiment(root, values.from.replace(/\.yaml$/, ""));
  const file = `config/${name}.yaml`;
  const path = resolve(root, file);
  if (existsSync(path)) throw alreadyThere(file);
  const text = compose(base, (values.set ?? []).map(parseSetting));
  const stackFile = readStackFile(root, name);
  const site = values.site ?? stackFile.site;
  const { plan, warnings } = check(file, () =>
    decide(root, { ...stackFile, experiment: name, site }, new Map([[path, text]])),
  );
  write(path, { file, text });
  const steps = [
    `pulumi stack init ${name}`,
    ...(values.site === undefined
      ? []
      : [`pulumi config set swe-rl:site ${site ?? ""} -s ${name}`]),
    ...(stackFile.experiment === undefined || stackFile.experiment === name
      ? []
      : [`pulumi config set swe-rl:experiment ${name} -s ${name}`]),
    ...(plan.trainer.tracked && stackFile.secrets === undefined
      ? [`pulumi config set --secret swe-rl:wandbApiKey -s ${name}   # asks for the value`]
      : []),
    `pulumi preview -s ${name}`,
    `pulumi up -s ${name}`,
  ];
  return {
    output: [`${file} written. Next:`, ...steps.map((step) => `  ${step}`)].join("\n"),
    warnings,
  };
}

function existingExperiment(root: string, name: string): string {
  const names = experimentNames(root);
  if (names.includes(name)) return name;
  const similar = nearest(name, names);
  throw new CommandError(
    `--from ${name}: config/${name}.yaml is not an experiment. ${similar === undefined ? `There: ${names.join(", ")}.` : `Did you mean ${similar}?`}`,
  );
}

function alreadyThere(file: string): CommandError {
  return new CommandError(
    `${file} exists already, and is left as it is. Edit it, or choose another name.`,
  );
}

interface Setting {
  readonly path: readonly string[];
  readonly value: Scalar;
}

function parseSetting(assignment: string): Setting {
  const at = assignment.indexOf("=");
  const key = at < 0 ? assignment : assignment.slice(0, at);
  if (at < 0) throw new UsageError(`--set ${key}: the form is key=value.`);
  const path = splitKey(key);
  if (path.some((part) => part === "")) {
    throw new UsageError(`--set ${key}: a key has the form section.key.`);
  }
  if (path[0] === "extends") throw new UsageError("--set extends: --from says what to extend.");
  // The value appears in no message: it might be meant to be secret.
  const parsed = parseDocument(assignment.slice(at + 1));
  if (parsed.errors.length > 0) throw new UsageError(`--set ${key}: the value is not valid YAML.`);
  return { path, value: (parsed.contents as Scalar | null) ?? new Scalar("") };
}

/** Below a mapping with keys of the user's own (`verl.overrides`), what remains is one key, dots and all. */
function splitKey(key: string): string[] {
  const parts = key.split(".");
  const known = knownPaths(experiment);
  const startsLike = (path: readonly (string | number)[], length: number) =>
    path.length >= length && parts.slice(0, length).every((part, i) => path[i] === part);
  for (let length = parts.length - 1; length > 0; length--) {
    const below = known.filter((path) => startsLike(path, length));
    if (below.length === 0) continue;
    const isFree = below.every((path) => path.length === length);
    return isFree ? [...parts.slice(0, length), parts.slice(length).join(".")] : parts;
  }
  return parts;
}

/** The file as a person would write it: schema line, base, then one block a section. */
function compose(base: string, settings: readonly Setting[]): string {
  const document = new Document({ extends: `${base}.yaml` });
  const seen = new Set<string>();
  for (const { path, value } of settings) {
    const key = path.join(".");
    if (seen.has(key)) throw new UsageError(`--set ${key} is given twice.`);
    seen.add(key);
    try {
      document.setIn(path, value);
    } catch {
      throw new UsageError(`--set ${key} lies below another --set that is not a mapping.`);
    }
  }
  if (!isMap(document.contents)) throw new Error("a mapping became something else");
  document.contents.commentBefore = " yaml-language-server: $schema=schema.json";
  for (const section of document.contents.items.slice(1)) {
    const key = new Scalar<unknown>(section.key);
    key.spaceBefore = true;
    section.key = key;
  }
  return document.toString({ lineWidth: 0 });
}

function check<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CommandError(
      `${file} is not written, since its settings would be wrong:\n${error.message}`,
    );
  }
}

function write(path: string, { file, text }: { file: string; text: string }): void {
  try {
    writeFileSync(path, text, { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw alreadyThere(file);
    throw new CommandError(`${file} cannot be written: ${(error as Error).message}`);
  }
}
