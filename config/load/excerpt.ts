import { readRegularFile } from "./regular-file.ts";
import { resolve } from "node:path";
import { mayBeSecret } from "../schema/secret-name.ts";
import type { Location, SettingPath } from "./problem.ts";

/** Longer lines, such as flow mappings, say little beside a caret. */
const longestLine = 120;

/**
 * The line of a configuration file with a caret below the place, as compilers show it. Empty for a file that cannot be
 * read, and where the setting or the line may hold a secret.
 * @param root What the location's file is relative to.
 */
export function excerpt(
  root: string,
  { file, line, column }: Location,
  path: SettingPath,
): readonly string[] {
  const text = lineOf(resolve(root, file), line);
  if (text === undefined || text.trim() === "" || text.length > longestLine) return [];
  if ([...path.map(String), text].some(mayBeSecret)) return [];
  const gutter = String(line);
  return [
    `${gutter} | ${text}`,
    `${" ".repeat(gutter.length)} | ${" ".repeat(Math.max(0, column - 1))}^`,
  ];
}

function lineOf(file: string, line: number): string | undefined {
  try {
    return readRegularFile(file).split(/\r?\n/)[line - 1];
  } catch {
    return undefined;
  }
}
