/**
 * Programs of the node and root file systems of its images, from Debian's packages (or Ubuntu's). What a machine may
 * have in another form is unpacked into the cache and never installed: Debian's runc, for one, would replace Docker's.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "../problem.ts";
import type { Progress } from "../progress.ts";
import { run } from "../run.ts";
import type { Cache, Entry } from "../tools/cache.ts";
import { which } from "../tools/machine.ts";
import type { ObtainedTool } from "../tools/tool.ts";

export interface Packages {
  readonly cache: Cache;
  readonly progress: Progress;
}

/** Where the packages have the programs. */
const unpacked: Readonly<Record<string, readonly [program: string, path: string][]>> = {
  runc: [["runc", "usr/sbin/runc"]],
  catatonit: [["catatonit", "usr/bin/catatonit"]],
  "containernetworking-plugins": [
    ["ptp", "usr/lib/cni/ptp"],
    ["host-local", "usr/lib/cni/host-local"],
    ["loopback", "usr/lib/cni/loopback"],
  ],
};

/** Programs that are installed if they are missing, and their packages; none of them has a service. */
const installed: Readonly<Record<string, string>> = {
  iptables: "iptables",
  ipset: "ipset",
  conntrack: "conntrack",
  ip: "iproute2",
  openssl: "openssl",
  nsenter: "util-linux",
};

export const debianPrograms: readonly string[] = [
  ...Object.values(unpacked).flatMap((programs) => programs.map(([program]) => program)),
  "unshare",
];

/** @throws {LabError} If packages are needed and cannot be had. */
export async function obtainPrograms(from: Packages): Promise<ObtainedTool[]> {
  await installMissing(from);
  const names = Object.keys(unpacked);
  const { directory, version } = await obtainRoot({ name: "node-programs", packages: names }, from);
  const versions = JSON.parse(version) as Record<string, string>;
  const unshare = which("unshare") ?? "";
  return [
    ...Object.entries(unpacked).flatMap(([name, programs]) =>
      programs.map(([program, path]) => ({
        name: program,
        version: upstream(versions[name] ?? ""),
        source: "debian" as const,
        path: join(directory, "root", path),
        origin: `package ${name} ${versions[name] ?? ""}`,
      })),
    ),
    { name: "unshare", version: "", source: "machine", path: unshare, origin: unshare },
  ];
}

/** The version without the distribution's additions: 1.6.20 of `1.6.20~ds1-1+deb12u3`. */
function upstream(version: string): string {
  return /[\d.]+\d/.exec(version.replace(/^\d+:/, ""))?.[0] ?? version;
}

async function installMissing({ progress }: Packages): Promise<void> {
  const missing = Object.entries(installed).filter(([program]) => which(program) === undefined);
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  await progress.task(`installing ${packages.join(", ")}`, 20, async () => {
    // Without --no-remove, apt may remove a package that conflicts.
    await apt(["install", "--yes", "--no-remove", "--no-install-recommends", ...packages]);
    return { result: undefined, summary: `packages installed: ${packages.join(", ")}` };
  });
}

export interface RootFileSystem {
  /** Name of the entry in the cache. */
  readonly name: string;
  readonly packages: readonly string[];
  /** Whether the packages that these need are in it too. */
  readonly closed?: boolean;
}

/** Unpacks packages into `root/` of a cache entry, whose version names those of the packages. */
export async function obtainRoot(
  { name, packages, closed = false }: RootFileSystem,
  { cache, progress }: Packages,
): Promise<Entry> {
  const contents = createHash("sha256").update(JSON.stringify([packages, closed]));
  const key = `${name}-${distribution()}-${process.arch}-${contents.digest("hex").slice(0, 12)}`;
  const made = cache.entry(key);
  if (made) return made;
  const onWait = (pid: number | undefined) => {
    progress.line(`packages for ${name}: waiting for process ${pid ?? "?"}`);
  };
  const label = `packages for ${name}`;
  return await progress.task(label, closed ? 30 : 15, async () => {
    const entry = await cache.make(key, onWait, async (directory) => {
      const archives = join(directory, "archives");
      mkdirSync(archives, { recursive: true });
      await fetch(packages, archives, closed);
      const versions: Record<string, string> = {};
      const root = join(directory, "root");
      for (const file of readdirSync(archives).filter((file) => file.endsWith(".deb"))) {
        const archive = join(archives, file);
        const [package_ = "", version = ""] = (
          await demand("dpkg-deb", ["--show", "--showformat=${Package} ${Version}", archive])
        ).split(" ");
        versions[package_] = version;
        await demand("dpkg-deb", ["--extract", archive, root]);
      }
      rmSync(archives, { recursive: true });
      return {
        version: JSON.stringify(versions),
        source: "debian" as const,
        origin: packages.join(" "),
      };
    });
    return { result: entry, summary: `${label}: unpacked` };
  });
}

/** Downloads packages; closed: and all that they need on an empty system. */
async function fetch(packages: readonly string[], to: string, closed: boolean): Promise<void> {
  if (!closed) {
    await apt(["download", ...packages], to);
    return;
  }
  mkdirSync(join(to, "partial"));
  await apt([
    "install",
    "--download-only",
    "--yes",
    "--no-install-recommends",
    "--option=Dir::State::status=/dev/null",
    `--option=Dir::Cache::archives=${to}/`,
    "--option=APT::Sandbox::User=root",
    ...packages,
  ]);
}

/** Runs apt-get, once more after an update of its lists if it fails. */
async function apt(args: readonly string[], cwd = "/"): Promise<void> {
  if (which("apt-get") === undefined) {
    throw new LabError(
      "A real node is not possible here: its programs come from Debian's or Ubuntu's packages, and this machine has no apt-get.",
    );
  }
  const options = ["--quiet=2", "--option=APT::Sandbox::User=root"];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const attempt = () => run("apt-get", [...options, ...args], { cwd, env });
  let { code, stderr } = await attempt();
  if (code !== 0) {
    await run("apt-get", [...options, "update"], { cwd, env });
    ({ code, stderr } = await attempt());
  }
  if (code === 0) return;
  const message = stderr.trim().split("\n").at(-1) ?? "";
  throw new LabError(
    `A real node needs packages that apt-get could not get (apt-get ${args.join(" ")}: ${message}). Give this machine access to a package archive, or use simulated nodes: npm run lab -- up --node simulated`,
  );
}

async function demand(command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  if (code === 0) return stdout;
  throw new LabError(`${command} ${args.join(" ")} failed: ${stderr.trim()}`);
}

/** `debian-12`: packages of another release are other ones. */
function distribution(): string {
  const text = readFileSync("/etc/os-release", "utf8");
  const field = (name: string) => new RegExp(`^${name}="?([\\w.]*)`, "m").exec(text)?.[1] ?? "";
  return `${field("ID")}-${field("VERSION_ID")}`;
}
