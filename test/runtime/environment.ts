/**
 * The Python environment of the runtime tests: real Ray, LiteLLM, Hydra and pytest in one virtual environment, and the
 * released verl packages beside it, each unpacked without its dependencies. Made once, in the per-user cache, from
 * hash-locked requirements.
 */
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheDirectory } from "../../lab/tools/cache.ts";

export interface PythonEnvironment {
  /** Interpreter of the virtual environment. */
  readonly python: string;
  /** Directory with the package `verl`, by release. */
  readonly verl: Readonly<Record<string, string>>;
  /** What pytest needs to find the rest; to be added to its environment. */
  readonly variables: Readonly<Record<string, string>>;
}

/** No usable Python, or its packages could not be installed. The message is for the user. */
export class PythonProblem extends Error {
  override readonly name = "PythonProblem";
}

const verlReleases = ["0.8.0", "0.9.1"] as const;
const lockFiles = ["uv.txt", "requirements.txt", ...verlReleases.map(verlLock)];

/** Releases that every locked package has wheels for. */
const oldest = { major: 3, minor: 10 } as const;
const newest = { major: 3, minor: 13 } as const;
const interpreters = ["python3", "python3.13", "python3.12", "python3.11", "python3.10"] as const;

/**
 * The environment, made first if it is not there yet (about a minute and 1 GB; needs a package index). A second call
 * takes a fraction of a second.
 * @throws {PythonProblem} If there is no Python 3.10 to 3.13, or the packages cannot be installed.
 */
export async function pythonEnvironment(): Promise<PythonEnvironment> {
  const base = await findPython();
  const directory = await madeOnce("python", keyOf(base), (draft) => fill(draft, base));
  const verl = Object.fromEntries(
    verlReleases.map((release) => [release, join(directory, `verl-${release}`)]),
  );
  const variables = Object.fromEntries([
    ["SWE_RL_NODE", process.execPath],
    ...Object.entries(verl).map(([release, path]) => [
      `SWE_RL_VERL_${release.replaceAll(".", "_")}`,
      path,
    ]),
  ]) as Record<string, string>;
  return { python: join(directory, "venv/bin/python"), verl, variables };
}

interface Interpreter {
  readonly path: string;
  readonly version: string;
}

async function findPython(): Promise<Interpreter> {
  const seen: string[] = [];
  for (const name of interpreters) {
    const program = "import platform, sys; print(platform.python_version(), sys.executable)";
    const answer = await run(name, ["-c", program], { quiet: true }).catch(() => undefined);
    const [version, path] = answer?.trim().split(" ", 2) ?? [];
    if (version === undefined || path === undefined) continue;
    const [major = 0, minor = 0] = version.split(".").map(Number);
    if (major === oldest.major && minor >= oldest.minor && minor <= newest.minor) {
      return { path, version };
    }
    seen.push(`${name} is ${version}`);
  }
  const found = seen.length > 0 ? seen.join(", ") : "there is no python3 on PATH";
  throw new PythonProblem(
    `The runtime tests need Python ${oldest.major}.${oldest.minor} to ${newest.major}.${newest.minor}, but ${found}. Install one and put it on PATH.`,
  );
}

function verlLock(release: string): string {
  return `verl-${release}.txt`;
}

/** Changes with everything that the result depends on. */
function keyOf(base: Interpreter): string {
  const hash = createHash("sha256");
  for (const file of lockFiles) hash.update(readFileSync(join(import.meta.dirname, file)));
  hash.update(JSON.stringify([base.path, process.platform, process.arch]));
  return `${base.version}-${hash.digest("hex").slice(0, 12)}`;
}

async function fill(draft: string, base: Interpreter): Promise<void> {
  const venv = join(draft, "venv");
  const python = join(venv, "bin/python");
  say("making the Python environment of the runtime tests (once, about 1 GB)");
  await run(base.path, ["-m", "venv", venv]);
  say("installing uv …");
  await run(python, ["-m", "pip", "install", "--quiet", ...locked("uv.txt")]);
  say("installing Ray, LiteLLM and what they need …");
  await install(python, ["--compile-bytecode"], "requirements.txt");
  for (const release of verlReleases) {
    say(`unpacking verl ${release} …`);
    const target = ["--no-deps", "--target", join(draft, `verl-${release}`)];
    await install(python, target, verlLock(release));
  }
}

/**
 * A directory of the per-user cache. A draft is filled and then renamed, so that the directory is complete or not there.
 * @returns Its path.
 */
export async function madeOnce(
  kind: string,
  key: string,
  fillDraft: (draft: string) => Promise<void>,
): Promise<string> {
  const directory = join(cacheDirectory(), kind, key);
  if (existsSync(directory)) return directory;
  const draft = `${directory}.${randomUUID()}`;
  const begun = performance.now();
  mkdirSync(draft, { recursive: true });
  try {
    await fillDraft(draft);
    try {
      renameSync(draft, directory);
    } catch (error) {
      // Another process was faster; its result is as good.
      if (!existsSync(directory)) throw error;
    }
    say(`${directory} ready after ${Math.round((performance.now() - begun) / 1000)} s`);
    return directory;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** With uv, which takes seconds; else with pip, which also knows a package index that only pip is configured for. */
async function install(python: string, options: readonly string[], lock: string): Promise<void> {
  const uv = join(dirname(python), "uv");
  try {
    await run(uv, ["pip", "install", "--quiet", "--python", python, ...options, ...locked(lock)]);
  } catch (error) {
    if (!(error instanceof PythonProblem)) throw error;
    say(`${error.message}\ntrying pip instead, which takes longer …`);
    const own = options.filter((option) => option !== "--compile-bytecode");
    await run(python, ["-m", "pip", "install", "--quiet", ...own, ...locked(lock)]);
  }
}

function locked(file: string): string[] {
  return ["--require-hashes", "--requirement", join(import.meta.dirname, file)];
}

export function say(text: string): void {
  process.stderr.write(`python: ${text}\n`);
}

/**
 * Runs a program to its end.
 * @returns What it printed.
 * @throws {PythonProblem} If it fails; with the end of what it said.
 */
export async function run(
  command: string,
  args: readonly string[],
  { quiet = false, cwd, path }: { quiet?: boolean; cwd?: string; path?: string } = {},
): Promise<string> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(cwd === undefined ? {} : { cwd }),
    ...(path === undefined ? {} : { env: { ...process.env, PATH: path } }),
  });
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const started = performance.now();
  const reminder = setInterval(() => {
    if (!quiet) say(`… ${Math.round((performance.now() - started) / 1000)} s`);
  }, 15_000);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    if (code === 0) return output;
  } catch (error) {
    errors += error instanceof Error ? error.message : String(error);
  } finally {
    clearInterval(reminder);
  }
  const shown = errors.trim().split("\n").slice(-15).join("\n");
  throw new PythonProblem(`${[command, ...args].join(" ")} failed:\n${shown}`);
}
