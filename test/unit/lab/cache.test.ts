import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withLock } from "../../../lab/lock.ts";
import { Cache, cacheDirectory, type Contents } from "../../../lab/tools/cache.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lab-cache-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const contents: Contents = { version: "1.0.0", source: "go", origin: "x" };
const ignore = () => undefined;

describe("cache of tools", () => {
  it("makes an entry once for concurrent callers", async () => {
    let made = 0;
    const make = () =>
      new Cache(folder).make("tool", ignore, async (directory) => {
        made += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
        writeFileSync(join(directory, "tool"), "x");
        return contents;
      });
    const [a, b] = await Promise.all([make(), make()]);
    expect(made).toBe(1);
    expect(a).toEqual(b);
    expect(readdirSync(a.directory).sort()).toEqual(["contents.json", "tool"]);
    expect(new Cache(folder).entry("tool")).toEqual(a);
  });

  it("keeps nothing of a failed attempt, and tries again", async () => {
    const cache = new Cache(folder);
    const failing = cache.make("tool", ignore, () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(cache.entry("tool")).toBeUndefined();
    expect(readdirSync(join(folder, "drafts"))).toEqual([]);
    await cache.make("tool", ignore, () => Promise.resolve(contents));
    expect(cache.entry("tool")).toMatchObject(contents);
  });

  it("is in SWE_RL_CACHE, else in the XDG cache directory", () => {
    expect(cacheDirectory({ SWE_RL_CACHE: "/c" })).toBe("/c");
    expect(cacheDirectory({ XDG_CACHE_HOME: "/x" })).toBe("/x/swe-rl");
    expect(cacheDirectory({ XDG_CACHE_HOME: "relative" })).toBe(join(homedir(), ".cache/swe-rl"));
    expect(cacheDirectory({})).toBe(join(homedir(), ".cache/swe-rl"));
  });
});

describe("lock", () => {
  const unusedPid = 2 ** 22 + 1;

  it.each([
    ["of a dead process", JSON.stringify({ pid: unusedPid, token: "x" }), 0],
    ["without a recent touch", JSON.stringify({ pid: process.pid, token: "x" }), 60],
    ["without complete content", "", 60],
  ])("is taken over: %s", async (_, text, age) => {
    const file = join(folder, "lock");
    writeFileSync(file, text);
    const then = new Date(Date.now() - age * 1000);
    utimesSync(file, then, then);
    expect(await withLock(file, ignore, () => Promise.resolve("done"))).toBe("done");
    expect(existsSync(file)).toBe(false);
  });

  it("reports the process that it waits for", async () => {
    const file = join(folder, "lock");
    const waited: unknown[] = [];
    const slow = withLock(file, ignore, () => new Promise((resolve) => setTimeout(resolve, 50)));
    await withLock(
      file,
      (pid) => waited.push(pid),
      () => Promise.resolve(),
    );
    await slow;
    expect(waited).toEqual([process.pid]);
  });
});
