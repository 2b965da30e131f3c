/** What a builder gets of the project for an image, and how it is told from what it got before. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type ImageName, imageNames, type Recipe, recipes } from "../schema/recipes.ts";

interface RecipeFile {
  /** From the recipe's context. */
  readonly path: string;
  readonly executable: boolean;
  readonly content: Buffer;
}

/** Made by running or installing the package; the image makes its own. */
const unwanted = /^(__pycache__|build|.*\.egg-info|.*\.pyc|\..*)$/;

/** The sources of a recipe, in an order that stays. */
export function filesOfRecipe(root: string, { context, sources }: Recipe): RecipeFile[] {
  const folder = join(root, context);
  return sources
    .flatMap((source) => filesIn(folder, source))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function filesIn(folder: string, path: string): RecipeFile[] {
  if (unwanted.test(basename(path))) return [];
  const whole = join(folder, path);
  const { mode, isFolder } = describe(whole);
  if (isFolder) return readdirSync(whole).flatMap((name) => filesIn(folder, `${path}/${name}`));
  return [{ path, executable: (mode & 0o100) !== 0, content: readFileSync(whole) }];
}

function describe(path: string): { readonly mode: number; readonly isFolder: boolean } {
  const found = statSync(path);
  return { mode: found.mode, isFolder: found.isDirectory() };
}

/** Copies the sources into a folder. Layers keep rights and times: neither may be those of this machine. */
export function copySources(
  folder: string,
  { root, recipe, epoch }: { root: string; recipe: Recipe; epoch: number },
): void {
  for (const { path, executable, content } of filesOfRecipe(root, recipe)) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
    chmodSync(target, executable ? 0o755 : 0o644);
  }
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, entry);
    if (describe(path).isFolder) chmodSync(path, 0o755);
    utimesSync(path, epoch, epoch);
  }
}

export type RecipeDigests = Readonly<Record<ImageName, string>>;

let known: RecipeDigests | undefined;

/** Of this project's recipes, read once: SHA-256 of what each image is built from, in hexadecimal digits. */
export function recipeDigests(): RecipeDigests {
  known ??= Object.fromEntries(
    imageNames.map((name) => [name, digestOf(projectRoot, recipes[name])]),
  ) as RecipeDigests;
  return known;
}

const projectRoot = join(import.meta.dirname, "../..");

/** Changes with names, contents and the right to execute; owners and other rights depend on who has checked it out. */
export function digestOf(root: string, recipe: Recipe): string {
  const hash = createHash("sha256").update(readFileSync(join(root, recipe.file)));
  for (const { path, executable, content } of filesOfRecipe(root, recipe)) {
    hash.update(`\0${path}\0${executable ? "x" : "-"}${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}
