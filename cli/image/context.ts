/** What a builder gets of the project: copies of the recipe's sources alone, with the commit's time. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copySources } from "../../config/load/recipe-files.ts";
import type { Recipe } from "../../config/schema/recipes.ts";

/** A build context in a temporary folder, gone when it is disposed of. */
export class BuildContext {
  readonly path = mkdtempSync(join(tmpdir(), "swe-rl-image-"));

  constructor(root: string, recipe: Recipe, epoch: number) {
    copySources(this.path, { root, recipe, epoch });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
