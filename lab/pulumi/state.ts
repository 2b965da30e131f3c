/** The backend of the lab: the state that Pulumi keeps of the lab's stacks. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readIfThere } from "../files.ts";
import type { LabPaths } from "../paths.ts";

/** Names of the stacks that the lab's backend knows. */
export function stacksOf(paths: LabPaths): string[] {
  return filesIn(paths, "stacks")
    .map((file) => /([^/]+)\.json(\.gz)?$/.exec(file)?.[1])
    .filter((name) => name !== undefined)
    .sort();
}

/**
 * Tells whether Pulumi made an encryption salt for a stack of the lab. `pulumi stack init` writes the salt into the
 * stack's state and into its settings; the state of a removed stack stays as a backup.
 */
export function saltFinder(paths: LabPaths): (salt: string) => boolean {
  const states = filesIn(paths, "stacks")
    .filter((file) => /\.json(\.gz)?(\.bak)?$/.test(file))
    .map(readState);
  return (salt) => states.some((state) => state.includes(JSON.stringify(salt)));
}

/** With PULUMI_DIY_BACKEND_GZIP Pulumi compresses a state. */
function readState(file: string): string {
  const content = readFileSync(file);
  const isCompressed = content[0] === 0x1f && content[1] === 0x8b;
  return (isCompressed ? gunzipSync(content) : content).toString("utf8");
}

/**
 * Removes the locks of killed Pulumi runs: each blocks its stack until `pulumi cancel`.
 * @returns How many.
 */
export function removeDeadLocks(paths: LabPaths): number {
  const dead = filesIn(paths, "locks").filter(
    (file) => file.endsWith(".json") && isDead(readIfThere(file)),
  );
  for (const file of dead) rmSync(file, { force: true });
  return dead.length;
}

function isDead(text: string | undefined): boolean {
  try {
    const lock = JSON.parse(text ?? "") as { pid: number; hostname: string };
    if (lock.hostname !== hostname()) return false;
    process.kill(lock.pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH";
  }
}

function filesIn(paths: LabPaths, folder: "stacks" | "locks"): string[] {
  const directory = join(paths.pulumiState, ".pulumi", folder);
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).map((file) =>
    join(directory, file),
  );
}
