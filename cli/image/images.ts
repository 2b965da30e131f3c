/** The images that this project has recipes for. */
import { CommandError } from "../command.ts";

export const imageNames = ["training", "claude-code", "opencode", "openhands-sdk"] as const;
export type ImageName = (typeof imageNames)[number];

export const variants = ["cuda", "cpu"] as const;
export type Variant = (typeof variants)[number];

/** What a build needs from the project, and where a user writes the result. */
export interface Recipe {
  /** Containerfile, from the project's root. */
  readonly file: string;
  /** Directory that the Containerfile copies from, from the project's root. */
  readonly context: string;
  /** Files and folders of it that go to the builder: never what lies beside them. */
  readonly sources: readonly string[];
  /** Setting that names the image, and its file. */
  readonly setting: string;
  readonly settingFile: string;
}

const ofAgent = (name: string, sources: readonly string[]): Recipe => ({
  file: `images/agents/${name}/Containerfile`,
  context: `images/agents/${name}`,
  sources,
  setting: "harbor_agent.runtime_image",
  settingFile: "the experiment",
});

const npmFiles = ["package.json", "package-lock.json"];

export const recipes: Readonly<Record<ImageName, Recipe>> = {
  training: {
    file: "images/training/Containerfile",
    context: ".",
    sources: ["images/training", "training/pyproject.toml", "training/src"],
    setting: "images.training",
    settingFile: "the site file",
  },
  "claude-code": ofAgent("claude-code", npmFiles),
  opencode: ofAgent("opencode", npmFiles),
  "openhands-sdk": ofAgent("openhands-sdk", ["build.txt", "requirements.txt", "relocate.py"]),
};

/** What the labels of an image say of its source. */
export interface Source {
  readonly version: string;
  readonly revision: string;
  /** Time of the commit in seconds, for what builders write into files and the image's configuration. */
  readonly epoch: string;
}

/** The image's name where no `--tag` gives one. No registry's host has this name. */
export function localReference(name: ImageName, { variant, version }: LocalName): string {
  return `localhost/swe-rl/${name}:${version}${name === "training" ? `-${variant}` : ""}`;
}

interface LocalName {
  readonly variant: Variant;
  readonly version: string;
}

/**
 * Whether it is a reference that a builder takes as a name.
 * @throws {CommandError} If it is not.
 */
export function checkReference(reference: string): string {
  const name = /^[a-z0-9][\w.-]*(:\d+)?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:\w[\w.-]{0,127})?$/i;
  if (name.test(reference)) return reference;
  throw new CommandError(
    `--tag ${reference} is not the name of an image, so that nothing could be built or pushed by it. ` +
      "Write HOST/PATH:TAG, without https:// and without a digest.",
  );
}

/** As the user reads it. */
export function named(name: ImageName, variant: Variant): string {
  return name === "training" ? `training (${variant})` : name;
}

/** What a user writes, and where. */
export function settingOf(name: ImageName, reference: string): string {
  const { setting, settingFile } = recipes[name];
  return `write into ${settingFile}: ${setting}: ${reference}`;
}
