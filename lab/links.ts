/** The lab's folder of executables. They are links, so that each process of the lab has a command line in its directory. */
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { readIfThere, writeWhole } from "./files.ts";
import type { LabPaths } from "./paths.ts";
import { quote } from "./pulumi/environment.ts";
import type { ObtainedTool } from "./tools/tool.ts";

/** @returns Whether a link was missing or different. */
export function linkTools(paths: LabPaths, tools: readonly ObtainedTool[]): boolean {
  mkdirSync(paths.bin, { recursive: true });
  // Pulumi runs programs with the first Node.js on the PATH; the project is tested with this one.
  const links = new Map([["node", process.execPath]]);
  const changes: boolean[] = [];
  for (const { name, source, path } of tools) {
    if (source === "stand-in") changes.push(writeScript(paths, name, path));
    else links.set(name, path);
  }
  for (const [name, target] of links) changes.push(link(join(paths.bin, name), target));
  const known = new Set(["node", ...tools.map(({ name }) => name)]);
  for (const name of readdirSync(paths.bin)) {
    if (!known.has(name)) rmSync(join(paths.bin, name), { recursive: true, force: true });
  }
  return changes.includes(true);
}

function link(from: string, target: string): boolean {
  if (targetOf(from) === target) return false;
  const draft = `${from}.${randomUUID()}`;
  symlinkSync(target, draft);
  renameSync(draft, from);
  return true;
}

function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function writeScript(paths: LabPaths, name: string, program: string): boolean {
  const node = join(paths.bin, "node");
  const text = `#!/bin/sh\nexec ${quote(node)} ${quote(program)} "$@"\n`;
  const path = join(paths.bin, name);
  // Writing through a link would overwrite the target of the link.
  if (targetOf(path) !== undefined) rmSync(path);
  if (readIfThere(path) === text) return false;
  writeWhole(path, text, 0o755);
  return true;
}
