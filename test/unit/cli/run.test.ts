import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../../support/settings.ts";

/** Runs `npm test -- …` without npm. */
function test(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const command = ["test/run.ts", ...args];
  const env = { ...process.env, VITEST: undefined, VITEST_POOL_ID: undefined };
  return spawnSync(process.execPath, command, { cwd: projectRoot, encoding: "utf8", env });
}

const file = "test/unit/plan/scaffold.test.ts";

describe("npm test -- FILE", () => {
  it("runs the file alone and counts its tests", () => {
    const { status, stdout } = test(file);
    expect(stdout.trimEnd()).toMatch(/\n\n\d+ passed, 0 failed$/);
    expect(stdout).not.toMatch(/== (runtime|engine|network)/);
    expect(status).toBe(0);
  });

  it("runs the tests of a name", () => {
    const { status, stdout } = test("test/unit/plan/tiers.test.ts", "-t", "KL loss");
    expect([stdout.trimEnd().split("\n").at(-1), status]).toEqual(["1 passed, 0 failed", 0]);
  });

  it("fails where no test has the name", () => {
    const { status, stdout } = test(file, "-t", "no test of this name");
    expect([stdout.trimEnd().split("\n").at(-1), status]).toEqual(["0 passed, 1 failed", 1]);
  });

  it.each(["test/unit/none.test.ts", "test/runtime/conftest.py", "README.md", "units"])(
    "refuses %s, which is neither a suite nor a test file",
    (argument) => {
      const { status, stderr } = test(argument);
      expect(stderr).toContain(`${argument} is neither a suite nor a test file.`);
      expect(status).toBe(2);
    },
  );
});
