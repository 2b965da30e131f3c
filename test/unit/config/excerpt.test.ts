import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { excerpt } from "../../../config/load/excerpt.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "swe-rl-excerpt-"));
  writeFileSync(
    join(folder, "run.yaml"),
    "vllm:\n  gen_tp: 3\nproxy: { api_key: hunter2 }\nsecrets:\n  - hunter2\n",
  );
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const at = (line: number, column: number) => ({ file: "run.yaml", line, column });

describe("the excerpt of a file", () => {
  it("has the line with a caret below the place", () => {
    expect(excerpt(folder, at(2, 11), ["vllm", "gen_tp"])).toEqual([
      "2 |   gen_tp: 3",
      "  |           ^",
    ]);
  });

  it.each([
    ["a line with the name of a secret", at(3, 10), ["proxy", "port"]],
    ["an item of a list of secrets", at(5, 5), ["secrets", 0]],
    ["a file that cannot be read", { ...at(1, 1), file: "gone.yaml" }, ["vllm"]],
    ["a line that the file does not have", at(99, 1), ["vllm"]],
  ])("does not show %s", (_what, location, path) => {
    expect(excerpt(folder, location, path)).toEqual([]);
  });
});
