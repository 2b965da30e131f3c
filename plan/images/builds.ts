import type { RecipeDigests } from "../../config/load/recipe-files.ts";
import type { ImageBuildSettings } from "../../config/schema/image-build.ts";
import { type ImageName, imageNames, imagePlatform } from "../../config/schema/recipes.ts";
import { digest } from "../digest.ts";

/** An image that a stack builds before anything uses it. */
export interface ImageBuild {
  readonly name: ImageName;
  /**
   * What the rest of the Plan calls it. The tag changes exactly with recipe, sources and arguments. Objects name what
   * was built by its digest instead.
   */
  readonly reference: string;
  /** Repository and name: what the reference begins with. */
  readonly repository: string;
  readonly tag: string;
  readonly platform: string;
  /** Values of the Containerfile's ARGs. */
  readonly args: Readonly<Record<string, string>>;
  /** Host of the registry that it is pushed to; undefined: it stays on the Docker host. */
  readonly registry: string | undefined;
}

/** Of every recipe that there is. */
export type ImageBuilds = Readonly<Record<ImageName, ImageBuild>>;

/** Where images are that were not pushed. No registry's host has this name. */
const local = "localhost/swe-rl";

export function imageBuilds(settings: ImageBuildSettings, digests: RecipeDigests): ImageBuilds {
  const builds = imageNames.map((name) => [name, buildOf(name, settings, digests[name])]);
  return Object.fromEntries(builds) as ImageBuilds;
}

function buildOf(name: ImageName, settings: ImageBuildSettings, recipe: string): ImageBuild {
  const isTraining = name === "training";
  const given = {
    ...(isTraining ? { VARIANT: settings.variant } : {}),
    ...settings.args[name],
  };
  const content = digest(JSON.stringify([recipe, Object.entries(given).sort()]), 16);
  const tag = isTraining ? `${settings.variant}-${content}` : content;
  const repository = `${settings.repository ?? local}/${name}`;
  return {
    name,
    reference: `${repository}:${tag}`,
    repository,
    tag,
    platform: imagePlatform,
    // Not the project's release: the same files are the same image in the next one.
    args: { ...given, VERSION: tag },
    registry: settings.repository?.split("/")[0],
  };
}

/** Those whose images the Plan names anywhere. */
export function usedBuilds(
  builds: ImageBuilds | undefined,
  references: readonly string[],
): ImageBuild[] {
  if (!builds) return [];
  return imageNames
    .map((name) => builds[name])
    .filter(({ reference }) => references.includes(reference));
}
