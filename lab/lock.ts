/** A lock file for one process at a time. The owner touches the file; the lock of a dead owner is taken over. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { readIfThere } from "./files.ts";
import { pause } from "./interrupt.ts";

interface Owner {
  readonly pid: number;
  readonly token: string;
}

/** Interval of touches; after `staleMilliseconds` without a touch the owner counts as dead. */
const beatMilliseconds = 2000;
const staleMilliseconds = 30_000;

export async function withLock<T>(
  file: string,
  onWait: (pid: number | undefined) => void,
  work: () => Promise<T>,
): Promise<T> {
  const mine: Owner = { pid: process.pid, token: randomUUID() };
  let announced = false;
  while (!take(file, mine)) {
    const owner = readOwner(file);
    if (isAbandoned(file, owner)) {
      rmSync(file, { force: true });
      continue;
    }
    if (!existsSync(file)) {
      await pause(10);
      continue;
    }
    if (!announced) onWait(owner?.pid);
    announced = true;
    await pause(200);
  }
  const beat = setInterval(() => {
    if (readOwner(file)?.token === mine.token) utimesSync(file, new Date(), new Date());
  }, beatMilliseconds);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if (readOwner(file)?.token === mine.token) rmSync(file, { force: true });
  }
}

function take(file: string, owner: Owner): boolean {
  mkdirSync(dirname(file), { recursive: true });
  try {
    writeFileSync(file, JSON.stringify(owner), { flag: "wx" });
    return true;
  } catch (error) {
    // ENOENT: `down` of another lab removed the empty folder meanwhile.
    const isTaken =
      error instanceof Error &&
      "code" in error &&
      ["EEXIST", "ENOENT"].includes(String(error.code));
    if (isTaken) return false;
    throw error;
  }
}

function readOwner(file: string): Owner | undefined {
  try {
    return JSON.parse(readIfThere(file) ?? "") as Owner;
  } catch {
    return undefined;
  }
}

function isAbandoned(file: string, owner: Owner | undefined): boolean {
  try {
    const silent = Date.now() - statSync(file).mtimeMs;
    // A file without an owner is being written, or its writer was killed.
    if (owner === undefined) return silent > beatMilliseconds;
    return silent > staleMilliseconds || !isAlive(owner.pid);
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
