import { execFileSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../config/load/problem.ts";
import { ConfigFolder } from "../../support/settings.ts";

function problemsOf(prepare: (folder: ConfigFolder, file: string) => void): string[] {
  using folder = new ConfigFolder();
  prepare(folder, join(folder.root, "config/run.yaml"));
  try {
    folder.load();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path.join(".")}: ${message}`);
  }
}

describe("a configuration file", () => {
  it.each<[string, (folder: ConfigFolder, file: string) => void]>([
    ["a pipe", (_folder, file) => execFileSync("mkfifo", [file])],
    [
      "a link to an endless device",
      (_folder, file) => {
        symlinkSync("/dev/zero", file);
      },
    ],
    [
      "a base that is a pipe",
      (folder, file) => {
        execFileSync("mkfifo", [file.replace("run", "pipe")]);
        folder.write("run.yaml", "extends: pipe.yaml");
      },
    ],
  ])("is not opened where it is %s", (_what, prepare) => {
    const [problem] = problemsOf(prepare);
    expect(problem).toContain("a pipe, a socket or a device");
  });

  it.each(["../x.yaml", "../../../etc/hostname", "sites/../../package.json"])(
    "extends nothing outside config/: %s",
    (base) => {
      const found = problemsOf((folder) => folder.write("run.yaml", `extends: ${base}`));
      expect(found[0]).toContain("is outside config/");
    },
  );

  it.each([
    ["training: { max_prompt_length: .nan }", "found NaN"],
    ["algorithm: { learning_rate: 1e999 }", "found Infinity"],
    ["algorithm: { clip_ratio_low: -1e999 }", "found -Infinity"],
  ])("tells a number that is none by its name: %s", (yaml, found) => {
    const [problem] = problemsOf((folder) =>
      folder.write("run.yaml", `extends: single-node.yaml\n${yaml}`),
    );
    expect(problem).toContain(found);
  });
});
