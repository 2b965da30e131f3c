import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Source } from "./images.ts";

/** Release and commit of the project; the commit of changed files has `-dirty` behind it. */
export function readSource(root: string): Source {
  const text = readFileSync(join(root, "package.json"), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  const revision = git(root, "rev-parse", "HEAD");
  if (revision === undefined) return { version, revision: "unknown", epoch: "0" };
  const paths = ["images", "training"];
  const changed = git(root, "status", "--porcelain", "--", ...paths) !== "";
  const epoch = git(root, "log", "-1", "--format=%ct") ?? "0";
  return { version, revision: changed ? `${revision}-dirty` : revision, epoch };
}

/** What git prints; undefined where it is no checkout, or git is not installed. */
function git(root: string, ...args: string[]): string | undefined {
  try {
    const stdio = ["ignore", "pipe", "ignore"] as const;
    return execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: [...stdio] }).trim();
  } catch {
    return undefined;
  }
}
