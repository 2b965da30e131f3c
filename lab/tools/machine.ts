/** Tools that are on the machine already. */
import { accessSync, constants, existsSync, readdirSync, realpathSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { run } from "../run.ts";
import type { ObtainedTool, Tool } from "./tool.ts";
import { compareVersions, describeRange, findVersion, isWithin, type Range } from "./version.ts";

export type Found =
  | { readonly tool: ObtainedTool }
  /** Why what is there will not do; undefined if nothing is there. */
  | { readonly reason: string | undefined };

/**
 * Looks for a tool on the machine.
 * @param obtained The tools that come before it in the catalogue.
 */
export async function findOnMachine(tool: Tool, obtained: readonly ObtainedTool[]): Promise<Found> {
  const { find, name, range } = tool;
  switch (find.on) {
    case "path":
      return await findOnPath(tool, find);
    case "beside": {
      const host = obtained.find((other) => other.name === find.tool);
      // One that was built stands alone, and so does this one then.
      if (!host || (host.source !== "machine" && host.source !== "download")) return nothing;
      const path = join(dirname(realpathSync(host.path)), name);
      const origin = host.source === "machine" ? path : host.origin;
      return existsSync(path) ? { tool: { ...host, name, path, origin } } : nothing;
    }
    case "pulumi-plugins":
      return findPlugin(name, find.plugin, range);
    case "nowhere":
      return nothing;
  }
}

const nothing: Found = { reason: undefined };

async function findOnPath(
  { name, range }: Tool,
  find: { readonly versionArgs: readonly string[]; readonly beside?: string },
): Promise<Found> {
  const path = which(name);
  if (path === undefined) return nothing;
  if (find.beside !== undefined && !existsSync(join(dirname(realpathSync(path)), find.beside))) {
    return { reason: `${path} has no ${find.beside} beside it` };
  }
  const version = await askVersion(path, find.versionArgs);
  if (version === undefined) return { reason: `${path} does not tell its version` };
  if (!isWithin(version, range)) {
    return { reason: `${path} is ${version}; needed is ${describeRange(range)}` };
  }
  return { tool: { name, version, source: "machine", path, origin: path } };
}

/** The version that a program prints; undefined if it cannot be run or prints none. */
export async function askVersion(
  path: string,
  args: readonly string[],
): Promise<string | undefined> {
  // A Pulumi that is asked must not touch the user's own.
  const env = { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true", PULUMI_HOME: tmpdir() };
  try {
    const { code, stdout, stderr } = await run(path, args, {
      env,
      signal: AbortSignal.timeout(20_000),
    });
    return code === 0 ? findVersion(stdout + stderr) : undefined;
  } catch (error) {
    if (error instanceof Error && error.name === "Interrupted") throw error;
    return undefined;
  }
}

export function which(
  name: string,
  path: string | undefined = process.env["PATH"],
): string | undefined {
  return (path ?? "")
    .split(delimiter)
    .filter((folder) => folder.startsWith("/") && !isOfLab(folder))
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** A shell that works with a lab has its links on the PATH; a lab built on those would vanish with it. */
function isOfLab(folder: string): boolean {
  return /\/\.lab\/[^/]+(\/|$)/.test(folder);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Pulumi keeps plugins as `resource-<name>-v<version>/`, with `….partial` beside one that is not complete. */
function findPlugin(name: string, plugin: string, range: Range): Found {
  const chosen = process.env["PULUMI_HOME"];
  const home = chosen && !isOfLab(chosen) ? chosen : join(homedir(), ".pulumi");
  const folder = join(home, "plugins");
  if (!existsSync(folder)) return nothing;
  const prefix = `resource-${plugin}-v`;
  const entries = readdirSync(folder);
  const versions = entries
    .filter((entry) => entry.startsWith(prefix) && !entries.includes(`${entry}.partial`))
    .map((entry) => entry.slice(prefix.length))
    .filter((version) => findVersion(version) === version && isWithin(version, range))
    .filter((version) => isExecutable(join(folder, prefix + version, name)))
    .sort(compareVersions);
  const version = versions.at(-1);
  if (version === undefined) return nothing;
  const path = join(folder, prefix + version, name);
  return { tool: { name, version, source: "machine", path, origin: path } };
}
