/** Finds tools that are installed on this machine. */
import { accessSync, constants, existsSync, readdirSync, realpathSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { run } from "../run.ts";
import type { ObtainedTool, Tool } from "./tool.ts";
import { compareVersions, describeRange, findVersion, isWithin, type Range } from "./version.ts";

export type Found =
  | { readonly tool: ObtainedTool }
  /** Why the installed tool does not fit; undefined if none is installed. */
  | { readonly reason: string | undefined };

/**
 * Looks for a tool on the machine.
 * @param obtained The tools before it in the catalogue.
 */
export async function findOnMachine(tool: Tool, obtained: readonly ObtainedTool[]): Promise<Found> {
  const { find, name, range } = tool;
  switch (find.on) {
    case "path":
      return await findOnPath(tool, find);
    case "beside": {
      const host = obtained.find((other) => other.name === find.tool);
      // A build of the other tool does not include this one.
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

/** The version that a program prints; undefined if it fails or prints no version. */
export async function askVersion(
  path: string,
  args: readonly string[],
): Promise<string | undefined> {
  // `pulumi version` must not write into the user's PULUMI_HOME.
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

/** With `lab env` evaluated, the PATH has the links of a lab, which `down` of that lab removes. */
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

/** Pulumi's plugin folders are `resource-<name>-v<version>/`; `….partial` marks an incomplete one. */
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
