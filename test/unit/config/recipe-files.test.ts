import { chmodSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestOf, filesOfRecipe, recipeDigests } from "../../../config/load/recipe-files.ts";
import { imageNames, type Recipe } from "../../../config/schema/recipes.ts";

const recipe: Recipe = { file: "Containerfile", context: "in", sources: ["src", "lock.txt"] };

let root = "";
const write = (file: string, text = file) => {
  const path = join(root, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "swe-rl-recipe-"));
  for (const file of ["Containerfile", "in/lock.txt", "in/src/a.py", "in/src/deep/b.py"]) {
    write(file);
  }
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

describe("the digest of a recipe", () => {
  it.each<[string, () => void]>([
    ["a source", () => void write("in/src/deep/b.py", "other")],
    ["the Containerfile", () => void write("Containerfile", "other")],
    ["a name", () => void write("in/src/c.py", "")],
    [
      "the right to execute",
      () => {
        chmodSync(join(root, "in/src/a.py"), 0o755);
      },
    ],
  ])("changes with %s", (_, change) => {
    const before = digestOf(root, recipe);
    change();
    expect(digestOf(root, recipe)).not.toBe(before);
  });

  it.each<[string, () => void]>([
    ["what lies beside the sources", () => void write("in/node_modules/x.js")],
    ["what running the package leaves", () => void write("in/src/__pycache__/a.pyc")],
    [
      "times",
      () => {
        utimesSync(join(root, "in/src/a.py"), 1, 1);
      },
    ],
    [
      "the rights of others",
      () => {
        chmodSync(join(root, "in/src/a.py"), 0o664);
      },
    ],
  ])("stays with %s", (_, change) => {
    const before = digestOf(root, recipe);
    change();
    expect(digestOf(root, recipe)).toBe(before);
  });

  it("cannot be had by moving text from one file to the next", () => {
    write("in/src/a.py", "xy");
    write("in/src/deep/b.py", "z");
    const before = digestOf(root, recipe);
    write("in/src/a.py", "x");
    write("in/src/deep/b.py", "yz");
    expect(digestOf(root, recipe)).not.toBe(before);
  });
});

it("lists sources by their path, in one order", () => {
  const paths = filesOfRecipe(root, recipe).map(({ path }) => path);
  expect(paths).toEqual(["lock.txt", "src/a.py", "src/deep/b.py"]);
});

it("every recipe of the project has another digest", () => {
  expect(new Set(Object.values(recipeDigests())).size).toBe(imageNames.length);
});
