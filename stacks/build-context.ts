import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { copySources } from "../config/load/recipe-files.ts";
import { type ImageName, recipes } from "../config/schema/recipes.ts";

/** What the Docker plugin builds from, by paths as it sees them. */
export interface BuildContext {
  readonly context: string;
  readonly dockerfile: string;
}

const root = join(import.meta.dirname, "..");
const cache = join(root, "node_modules/.cache/swe-rl/images");

/**
 * The build context of an image, in a folder that is named by its content. The plugin compares the path as well: it is
 * from the working directory, which the plugin shares, so that another checkout is no other image.
 */
export function buildContext(name: ImageName, tag: string): BuildContext {
  const folder = join(cache, `${name}-${tag}`);
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true });
    const draft = mkdtempSync(join(cache, ".draft-"));
    const recipe = recipes[name];
    copySources(join(draft, "context"), { root, recipe, epoch: 0 });
    writeFileSync(join(draft, "Containerfile"), readFileSync(join(root, recipe.file)));
    publish(draft, folder);
  }
  const path = relative(process.cwd(), folder);
  return { context: join(path, "context"), dockerfile: join(path, "Containerfile") };
}

/** Another stack may have been faster; its folder has the same content. */
function publish(draft: string, folder: string): void {
  try {
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
}
