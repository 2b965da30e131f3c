/** The stack files in the project, and what the lab leaves in them. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { readIfThere, writeWhole } from "../files.ts";
import type { Place } from "../place.ts";
import { LabError } from "../problem.ts";
import { opens, readEncryption, withoutSecrets } from "./salt.ts";

const folder = "stacks";

/**
 * @throws {LabError} If the stack's file belongs to another backend: Pulumi would ask for a passphrase that is not
 *   the lab's, or overwrite what a real stack needs.
 */
export async function demandOwnStack(place: Place, stack: string): Promise<void> {
  const file = `${folder}/Pulumi.${stack}.yaml`;
  const { salt, provider } = readEncryption(readIfThere(join(place.root, file)) ?? "");
  const passphrase = readIfThere(place.passphrase) ?? "";
  const isForeign = salt === undefined ? false : !(await opens(salt, passphrase));
  if (!isForeign && provider === undefined) return;
  const key = isForeign ? "encryptionsalt" : "secretsprovider";
  throw new LabError(
    `${file} belongs to a stack of another backend (its ${key} is not the lab's), so the lab leaves it alone. Take another stack name, with the same settings: cp config/${stack}.yaml config/lab-${stack}.yaml && npm start -- lab-${stack}`,
  );
}

/**
 * Takes back what the lab's stacks left in their files.
 * @returns The files, and whether each was removed altogether.
 */
export async function cleanStackFiles(
  place: Place,
): Promise<{ readonly file: string; readonly removed: boolean }[]> {
  const passphrase = readIfThere(place.passphrase);
  const directory = join(place.root, folder);
  if (passphrase === undefined || !existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => /^Pulumi\..+\.yaml$/.test(name));
  const cleaned = await Promise.all(
    names.map(async (name) => {
      const path = join(directory, name);
      const text = readFileSync(path, "utf8");
      const { salt } = readEncryption(text);
      if (salt === undefined || !(await opens(salt, passphrase))) return [];
      const rest = withoutSecrets(text);
      if (rest === undefined) rmSync(path);
      else writeWhole(path, rest);
      return [{ file: `${folder}/${name}`, removed: rest === undefined }];
    }),
  );
  return cleaned.flat();
}

/** Names of the stacks that the lab's backend knows. */
export function stacksOf(place: Place): string[] {
  const directory = join(place.pulumiState, ".pulumi", "stacks");
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((file) => /([^/]+)\.json(\.gz)?$/.exec(file)?.[1])
    .filter((name) => name !== undefined)
    .sort();
}

/**
 * Removes the locks of Pulumi runs that were killed; each would block its stack until somebody cancels it.
 * @returns How many.
 */
export function removeDeadLocks(place: Place): number {
  const directory = join(place.pulumiState, ".pulumi", "locks");
  if (!existsSync(directory)) return 0;
  const dead = readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".json"))
    .map((file) => join(directory, file))
    .filter((file) => isDead(readIfThere(file)));
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
