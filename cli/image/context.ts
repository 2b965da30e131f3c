/** What a builder gets of the project: copies of the recipe's sources alone, with the commit's time. */
import { cpSync, lutimesSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Recipe } from "./images.ts";

/** Made by running or installing the package; the image makes its own. */
const unwanted = /^(__pycache__|build|.*\.egg-info|.*\.pyc|\..*)$/;

/** A build context in a temporary folder, gone when it is disposed of. */
export class BuildContext {
  readonly path = mkdtempSync(join(tmpdir(), "swe-rl-image-"));

  constructor(root: string, recipe: Recipe, epoch: number) {
    for (const source of recipe.sources) {
      cpSync(join(root, recipe.context, source), join(this.path, source), {
        recursive: true,
        filter: (path) => !unwanted.test(basename(path)),
      });
    }
    // Layers keep the times of copied files.
    for (const entry of readdirSync(this.path, { recursive: true, encoding: "utf8" })) {
      lutimesSync(join(this.path, entry), epoch, epoch);
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
