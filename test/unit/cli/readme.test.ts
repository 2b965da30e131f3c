import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigFolder, projectRoot } from "../../support/settings.ts";
import { spawnSync } from "node:child_process";

const readme = readFileSync(join(projectRoot, "README.md"), "utf8");

/** The code block of README.md that begins with a text. */
function block(start: string): string {
  const [, text = ""] = readme.split("\n```").flatMap((part) => {
    const body = part.slice(part.indexOf("\n") + 1);
    return body.startsWith(start) ? ["", body] : [];
  });
  return text.trim();
}

function print(program: string, ...args: string[]): string {
  const command = [`cli/${program}.ts`, ...args];
  const { stdout } = spawnSync(process.execPath, command, { cwd: projectRoot, encoding: "utf8" });
  return stdout.trim();
}

/** The fingerprint of a run changes with every default. */
const withoutFingerprint = (text: string) => text.replaceAll(/run [0-9a-f]{10} /g, "run … ");

describe("README.md", () => {
  it("shows how the Plan begins", () => {
    const shown = withoutFingerprint(block("Plan of stack single-node"));
    const printed = withoutFingerprint(print("plan", "single-node"));
    expect(printed.split("\n").slice(0, shown.split("\n").length).join("\n")).toBe(shown);
  });

  it("shows what preflight says of the mistake", () => {
    using folder = new ConfigFolder();
    folder.write("exp-42.yaml", `${block("extends: two-node.yaml")}\n`);
    const args = ["-s", "exp-42", "--site", "example", "--offline", "--root", folder.root];
    expect(print("preflight", ...args)).toBe(block("Preflight of stack exp-42"));
  });
});
