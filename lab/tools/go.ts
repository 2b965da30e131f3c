/** Builds tools from the Go modules in `lab/tools/go`; their go.sum files pin every dependency. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { lastLines } from "../files.ts";
import { LabError } from "../problem.ts";
import { run } from "../run.ts";
import type { Contents } from "./cache.ts";
import { which } from "./machine.ts";
import type { GoBuild, Platform } from "./tool.ts";

const modules = join(import.meta.dirname, "go");
const goVersion = "1.26";

/** Cache key: a hash of everything that the result depends on. */
export function buildKey(name: string, build: GoBuild, platform: Platform): string {
  const hash = createHash("sha256").update(
    JSON.stringify([name, build.package, flags(build), build.extras]),
  );
  const folder = join(modules, build.module);
  for (const file of readdirSync(folder).sort()) {
    hash.update(`\0${file}\0`).update(readFileSync(join(folder, file)));
  }
  const { os, arch } = platform;
  return `${name}-${build.version}-${os}-${arch}-go-${hash.digest("hex").slice(0, 12)}`;
}

/** Expected seconds of a build on this machine. The compiler uses all cores, the linker one. */
export function estimateSeconds(build: GoBuild, cores = availableParallelism()): number {
  const linking = Math.min(build.seconds, 8);
  return Math.round(linking + ((build.seconds - linking) * 2) / Math.max(cores, 1));
}

/**
 * @param names Tools to build, for the message.
 * @throws {LabError} If Go is missing or too old.
 */
export async function demandGo(names: readonly string[]): Promise<void> {
  const remedy = `Install Go ${goVersion} or newer (https://go.dev/doc/install), or give this machine access to the vendors' download sites, and run the same command again.`;
  const [first = "", ...others] = names;
  const what =
    others.length > 1 ? `${first} and ${others.length} other tools` : names.join(" and ");
  const purpose = `${what} must be built on this machine, which needs Go`;
  if (which("go") === undefined) throw new LabError(`${purpose}. Go is not on the PATH. ${remedy}`);
  // Inside a module, Go also downloads a newer Go if its settings allow that.
  const { code, stderr } = await run("go", ["list", "-m"], {
    cwd: join(modules, "kwok"),
    env: goEnvironment(),
  });
  if (code !== 0) {
    const { stdout } = await run("go", ["version"], { cwd: "/", env: goEnvironment() });
    const found = stdout.replace(/^go version /, "").trim();
    throw new LabError(
      `${purpose} ${goVersion} or newer; found is ${found} (${stderr.trim()}). ${remedy}`,
    );
  }
}

/**
 * Builds one tool.
 * @throws {LabError} With the last lines of the log, if the build fails.
 */
export async function buildWithGo(
  name: string,
  build: GoBuild,
  to: { readonly directory: string; readonly log: string },
): Promise<Contents> {
  const folder = join(modules, build.module);
  rmSync(to.log, { force: true });
  const args = ["build", ...flags(build), "-o", join(to.directory, name), build.package];
  const { code } = await run("go", args, { cwd: folder, env: goEnvironment(), log: to.log });
  if (code !== 0) {
    throw new LabError(
      `${name} ${build.version} could not be built with Go. The end of its log, ${to.log}:\n${lastLines(to.log, 15)}`,
    );
  }
  if (build.extras) await copyExtras(build.extras, folder, to.directory);
  const origin = build.package === "." ? `lab/tools/go/${build.module}` : build.package;
  return { version: build.version, source: "go", origin };
}

async function copyExtras(
  extras: NonNullable<GoBuild["extras"]>,
  folder: string,
  to: string,
): Promise<void> {
  const args = ["list", "-m", "-f", "{{.Dir}}", extras.module];
  const { stdout, stderr } = await run("go", args, { cwd: folder, env: goEnvironment() });
  const from = join(stdout.trim(), extras.from);
  if (stdout.trim() === "" || !existsSync(from)) {
    throw new LabError(`${extras.from} is not in the Go module ${extras.module}. ${stderr.trim()}`);
  }
  const target = join(to, extras.to);
  // Go's module cache is read-only; the copy must be removable.
  cpSync(from, target, { recursive: true });
  await run("chmod", ["-R", "u+w", target]);
}

function flags(build: GoBuild): string[] {
  return ["-trimpath", "-buildvcs=false", `-ldflags=${["-s -w", ...build.ldflags].join(" ")}`];
}

/** The user's Go settings, without those that change the result of a build. */
function goEnvironment(): NodeJS.ProcessEnv {
  const { GOOS: _os, GOARCH: _arch, GOEXPERIMENT: _experiment, ...rest } = process.env;
  return { ...rest, CGO_ENABLED: "0", GOWORK: "off" };
}
