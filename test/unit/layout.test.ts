import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectRoot } from "../support/settings.ts";

const folders = "bench cli components config lab plan preflight rules stacks test".split(" ");

it("imports point one way, through each folder's entry, and never in a circle", () => {
  const program = join(projectRoot, "node_modules/.bin/depcruise");
  const args = ["--config", ".dependency-cruiser.js", "--output-type", "err-long", ...folders];
  const { stdout, status } = spawnSync(program, args, { cwd: projectRoot, encoding: "utf8" });
  expect(stdout).toContain("no dependency violations found");
  expect(status).toBe(0);
}, 60_000);
