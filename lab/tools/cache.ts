/** Downloaded and built tools, cached per user. An entry is complete or absent. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { readIfThere, writeWhole } from "../files.ts";
import { withLock } from "../lock.ts";

/** The description in an entry. */
export interface Contents {
  readonly version: string;
  readonly source: "download" | "go" | "debian";
  readonly origin: string;
}

export interface Entry extends Contents {
  readonly directory: string;
}

const contentsFile = "contents.json";
const abandonedMilliseconds = 24 * 60 * 60 * 1000;

export class Cache {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  entry(key: string): Entry | undefined {
    const directory = this.#path(key);
    const text = readIfThere(join(directory, contentsFile));
    return text === undefined ? undefined : { ...(JSON.parse(text) as Contents), directory };
  }

  /**
   * Creates an entry, unless another process creates it meanwhile.
   * @param fill Writes the files into the given directory.
   */
  async make(
    key: string,
    onWait: (pid: number | undefined) => void,
    fill: (directory: string) => Promise<Contents>,
  ): Promise<Entry> {
    const lock = join(this.directory, "locks", `${key}.lock`);
    return await withLock(lock, onWait, async () => {
      const made = this.entry(key);
      if (made) return made;
      this.#sweep();
      const draft = join(this.directory, "drafts", randomUUID());
      mkdirSync(draft, { recursive: true });
      try {
        const contents = await fill(draft);
        writeWhole(join(draft, contentsFile), JSON.stringify(contents));
        const directory = this.#path(key);
        mkdirSync(dirname(directory), { recursive: true });
        // A directory without a contents file was not created by this class.
        rmSync(directory, { recursive: true, force: true });
        renameSync(draft, directory);
        return { ...contents, directory };
      } finally {
        rmSync(draft, { recursive: true, force: true });
      }
    });
  }

  /** Log file of a build. */
  log(key: string): string {
    const folder = join(this.directory, "logs");
    mkdirSync(folder, { recursive: true });
    return join(folder, `${key}.log`);
  }

  /** Removes drafts of killed processes. */
  #sweep(): void {
    const drafts = join(this.directory, "drafts");
    if (!existsSync(drafts)) return;
    for (const name of readdirSync(drafts)) {
      const draft = join(drafts, name);
      const age = Date.now() - (statSync(draft, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > abandonedMilliseconds) rmSync(draft, { recursive: true, force: true });
    }
  }

  #path(key: string): string {
    return join(this.directory, "tools", key);
  }
}

/** `SWE_RL_CACHE`, else the cache directory of the XDG specification. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const chosen = env["SWE_RL_CACHE"];
  if (chosen) return resolve(chosen);
  // The specification says to ignore relative paths.
  const xdg = env["XDG_CACHE_HOME"];
  return join(xdg?.startsWith("/") ? xdg : join(homedir(), ".cache"), "swe-rl");
}
