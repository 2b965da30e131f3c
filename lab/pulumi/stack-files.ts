/**
 * The settings files of stacks, `stacks/Pulumi.<stack>.yaml`. Pulumi writes the encryption salt of a stack into its
 * file. With a salt of the lab in that file, a real backend refuses the user's passphrase.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isMap, isNode, isScalar, parseDocument, type YAMLMap } from "yaml";
import { readIfThere, writeWhole } from "../files.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { saltFinder } from "./state.ts";

const folder = "stacks";

/**
 * @throws {LabError} If the stack's file belongs to another backend: Pulumi would ask for the passphrase of that
 *   backend, or overwrite its secrets provider.
 */
export function demandOwnStack(paths: LabPaths, stack: string): void {
  const file = `${folder}/Pulumi.${stack}.yaml`;
  const { salt, provider } = readEncryption(readIfThere(join(paths.root, file)) ?? "");
  const isForeign = salt !== undefined && !saltFinder(paths)(salt);
  if (!isForeign && provider === undefined) return;
  const key = isForeign ? "encryptionsalt" : "secretsprovider";
  throw new LabError(
    `${file} belongs to a stack of another backend: its ${key} is not the lab's. The lab does not change that file. Use another stack name with the same settings: cp config/${stack}.yaml config/lab-${stack}.yaml && npm start -- lab-${stack}`,
  );
}

/**
 * Removes the salts and secrets of the lab's stacks from their files.
 * @returns The changed files, and whether each was removed altogether.
 */
export function cleanStackFiles(
  paths: LabPaths,
): { readonly file: string; readonly removed: boolean }[] {
  const directory = join(paths.root, folder);
  if (!existsSync(directory)) return [];
  const isOfLab = saltFinder(paths);
  const names = readdirSync(directory).filter((name) => /^Pulumi\..+\.yaml$/.test(name));
  return names.flatMap((name) => {
    const path = join(directory, name);
    const text = readFileSync(path, "utf8");
    const { salt } = readEncryption(text);
    if (salt === undefined || !isOfLab(salt)) return [];
    const rest = withoutSecrets(text);
    if (rest === undefined) rmSync(path);
    else writeWhole(path, rest);
    return [{ file: `${folder}/${name}`, removed: rest === undefined }];
  });
}

/** The salt in a stack's file, and the secrets provider if it names one. */
export function readEncryption(text: string): {
  readonly salt: string | undefined;
  readonly provider: string | undefined;
} {
  const document = parseDocument(text);
  const read = (key: string) => {
    const value: unknown = document.has(key) ? document.get(key) : undefined;
    return typeof value === "string" ? value : undefined;
  };
  return { salt: read("encryptionsalt"), provider: read("secretsprovider") };
}

/**
 * A stack's file without its salt and the values encrypted under it. Whole lines are cut, so that all other lines,
 * comments included, keep their text.
 * @returns undefined if nothing is left.
 */
export function withoutSecrets(text: string): string | undefined {
  const { contents } = parseDocument(text);
  const pairs = isMap(contents) ? contents.items : [];
  const salt = pairs.filter((pair) => keyOf(pair) === "encryptionsalt");
  const config = pairs.filter((pair) => keyOf(pair) === "config");
  const rest = cut(text, [...salt, ...config.flatMap(outermostSecrets)]);
  return rest.trim() === "" ? undefined : rest;
}

type Pair = YAMLMap["items"][number];

/** The outermost pairs that contain only secrets. */
function outermostSecrets(pair: Pair): Pair[] {
  if (isSecret(pair)) return [pair];
  return isMap(pair.value) ? pair.value.items.flatMap(outermostSecrets) : [];
}

function isSecret({ value }: Pair): boolean {
  if (!isMap(value) || value.items.length === 0) return false;
  const isEncrypted = value.items.length === 1 && value.has("secure");
  return isEncrypted || value.items.every(isSecret);
}

function keyOf({ key }: Pair): unknown {
  return isScalar(key) ? key.value : undefined;
}

function cut(text: string, pairs: readonly Pair[]): string {
  const cuts = pairs.flatMap(({ key, value }) => {
    const start = isScalar(key) ? key.range?.[0] : undefined;
    const end = isNode(value) ? value.range?.[1] : undefined;
    if (start === undefined || end === undefined) return [];
    const from = text.lastIndexOf("\n", start - 1) + 1;
    const lineEnd = text.indexOf("\n", Math.max(start, end - 1));
    return [{ from, to: lineEnd < 0 ? text.length : lineEnd + 1 }];
  });
  return cuts
    .sort((a, b) => b.from - a.from)
    .reduce((rest, { from, to }) => rest.slice(0, from) + rest.slice(to), text);
}
