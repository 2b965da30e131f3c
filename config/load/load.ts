/**
 * Reads the settings of a stack: the experiment file with everything that it extends, and the site file.
 * All problems of all files are reported at once.
 */
import type { SecretFlaw } from "../schema/secret-form.ts";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Drafts } from "./document.ts";
import { readModelFacts } from "./model-facts.ts";
import { findIneffective } from "./ineffective.ts";
import { type Layers, locate, merge, readLayers } from "./layers.ts";
import { type RecipeDigests, recipeDigests } from "./recipe-files.ts";
import { nearest } from "./suggest.ts";
import { validate } from "./validate.ts";
import { modelFactsOf } from "../schema/model-facts.ts";
import { ConfigError, type Location, type Problem, type SettingPath } from "./problem.ts";
import { experiment, type Experiment, tiers } from "../schema/experiment.ts";
import { type ModelFacts, type Models, models } from "../schema/models.ts";
import { site, type Site } from "../schema/sites.ts";
import { tierDefaults } from "../schema/tier-defaults.ts";

/** What the user wrote, typed and complete. */
export interface Settings {
  /** Name of the Pulumi stack; every name on the cluster derives from it. */
  readonly stack: string;
  readonly experiment: Experiment;
  /** Name of the site file without its ending. */
  readonly siteName: string;
  readonly site: Site;
  /** What is known of the policy, from its `config.json` or `config/models.yaml`; undefined if nothing is. */
  readonly modelFacts: ModelFacts | undefined;
  /** All of `config/models.yaml`. */
  readonly models: Models;
  /** Names of the stack secrets that are set; undefined if they cannot be known here (no engine). */
  readonly secrets: ReadonlySet<string> | undefined;
  /** What can be seen to be wrong with them. */
  readonly secretFlaws: readonly SecretFlaw[];
  /** What images are built from now; undefined: the site builds none. */
  readonly recipeDigests: RecipeDigests | undefined;
}

export interface Loaded {
  readonly settings: Settings;
  /** Settings that are accepted but have no effect. */
  readonly warnings: readonly Problem[];
  /** Where a setting of the experiment (or, with `site` in front, of the site) stands. */
  readonly locate: (path: SettingPath) => Location | undefined;
}

export interface Selection {
  readonly stack: string;
  /** Name of the experiment file in `config/`, without its ending. Default: the stack's name. */
  readonly experiment?: string | undefined;
  /** Name of the site file in `config/sites/`, without its ending. Default: `lab`. */
  readonly site?: string | undefined;
  /** Names of the stack secrets that are set, if that is known. */
  readonly secrets?: ReadonlySet<string> | undefined;
  /** What can be seen to be wrong with them. @default nothing */
  readonly secretFlaws?: readonly SecretFlaw[] | undefined;
}

/**
 * Loads and checks the settings of a stack.
 * @param root The project's directory.
 * @param drafts Files to take from here instead of the disk, by absolute path.
 * @throws {ConfigError} If a file is missing, is not valid YAML or breaks the schema.
 */
export function load(root: string, selection: Selection, drafts: Drafts = new Map()): Loaded {
  const experimentName = selection.experiment ?? selection.stack;
  const siteName = selection.site ?? "lab";
  const what = [
    { folder: "config", name: experimentName, key: "swe-rl:experiment", kind: "experiment" },
    { folder: "config/sites", name: siteName, key: "swe-rl:site", kind: "site" },
  ] as const;
  const parts = [read(root, what[0], drafts), read(root, what[1], drafts)] as const;
  const [experimentPart, sitePart] = parts;
  const catalogue = readLayers(root, "config/models.yaml", drafts);
  const checkedModels = catalogue.layers && validate(models, catalogue.layers);
  const problems = [...parts, catalogue].flatMap((part) => part.problems);
  problems.push(...(checkedModels?.problems ?? []));
  const checkedExperiment =
    experimentPart.layers && validate(experiment, withTierDefaults(experimentPart.layers));
  const checkedSite = sitePart.layers && validate(site, sitePart.layers);
  problems.push(...(checkedExperiment?.problems ?? []), ...(checkedSite?.problems ?? []));
  if (problems.length > 0 || !checkedExperiment?.settings || !checkedSite?.settings) {
    throw new ConfigError(problems);
  }
  const { model } = checkedExperiment.settings;
  const catalogued = modelFactsOf(checkedModels?.settings ?? {}, model.model_path);
  const known = readModelFacts(root, model, catalogued);
  if (known.problem !== undefined) {
    const path = ["model", "config_file"];
    const location = locate(experimentPart.layers?.files ?? [], path);
    throw new ConfigError([{ path, message: known.problem, location }]);
  }
  const experimentFiles = experimentPart.layers?.files ?? [];
  const siteFiles = sitePart.layers?.files ?? [];
  return {
    settings: {
      stack: selection.stack,
      experiment: checkedExperiment.settings,
      siteName,
      site: checkedSite.settings,
      modelFacts: known.facts,
      models: checkedModels?.settings ?? {},
      secrets: selection.secrets,
      secretFlaws: selection.secretFlaws ?? [],
      recipeDigests: digestsFor(checkedSite.settings, siteFiles),
    },
    warnings: experimentPart.layers
      ? findIneffective(experimentPart.layers, {
          experiment: checkedExperiment.settings,
          kind: checkedSite.settings.kind,
        })
      : [],
    locate: (path) =>
      path[0] === "site" ? locate(siteFiles, path.slice(1)) : locate(experimentFiles, path),
  };
}

/** @throws {ConfigError} If this copy of the project lacks what the site wants to be built. */
function digestsFor({ images }: Site, files: Layers["files"]): RecipeDigests | undefined {
  if (images.build === undefined) return undefined;
  try {
    return recipeDigests();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `has images built from this copy of the project, which lacks their sources: ${reason}`;
    const location = locate(files, ["images", "build"]);
    throw new ConfigError([{ path: ["images", "build"], message, location }]);
  }
}

/** The settings on top of their tier's defaults. An unknown tier has none, and is refused by the schema. */
function withTierDefaults(layers: Layers): Layers {
  const tier = layers.settings["tier"] ?? "single-node";
  const known = tiers.find((name) => name === tier);
  return known
    ? { ...layers, settings: merge({ ...tierDefaults[known] }, layers.settings) }
    : layers;
}

interface Part {
  readonly layers?: Layers;
  readonly problems: readonly Problem[];
}

interface Wanted {
  readonly folder: string;
  readonly name: string;
  readonly key: string;
  readonly kind: "experiment" | "site";
}

function read(root: string, what: Wanted, drafts: Drafts): Part {
  const file = `${what.folder}/${what.name}.yaml`;
  if (!/^[\w.-]+$/.test(what.name)) {
    const message = `"${what.name}" is not the name of a file in ${what.folder}/ (setting ${what.key})`;
    return { problems: [{ path: [], message }] };
  }
  if (!drafts.has(resolve(root, file)) && !existsSync(join(root, file))) {
    return { problems: [{ path: [], message: missing(root, what, file) }] };
  }
  return readLayers(root, file, drafts);
}

/** Names of the experiments in `config/`, in alphabetical order. */
export function experimentNames(root: string): string[] {
  return namesIn(root, "config").filter((name) => name !== "models");
}

function namesIn(root: string, folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => name.slice(0, -".yaml".length))
    .sort();
}

function missing(root: string, what: Wanted, file: string): string {
  const names = what.kind === "experiment" ? experimentNames(root) : namesIn(root, what.folder);
  const similar = nearest(what.name, names);
  const there = similar === undefined ? `There: ${names.join(", ")}.` : `Did you mean ${similar}?`;
  return `${file} does not exist, so this stack has no ${what.kind}. ${there} Create the file, or choose another: pulumi config set ${what.key} NAME`;
}
