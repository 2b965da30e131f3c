/** How images are called, and where a user writes their names. */
import type { ImageName, Variant } from "../../config/schema/recipes.ts";
import { CommandError } from "../command.ts";

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
  return name === "training"
    ? `write into the site file: images.training: ${reference}`
    : `write into the experiment: harbor_agent.runtime_image: ${reference}`;
}
