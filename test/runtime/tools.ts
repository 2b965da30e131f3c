/** Programs that the runtime tests need beside Python: networks of namespaces with filters on them, and a Docker daemon. */
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import type { GoBuild } from "../../lab/tools/tool.ts";
import { obtainProgram } from "../support/go-program.ts";

/** Programs by the Debian package that has them. */
const needed = {
  nft: "nftables",
  ip: "iproute2",
  nsenter: "util-linux",
  unshare: "util-linux",
  dockerd: "docker.io",
  docker: "docker.io",
};

/** Docker's compose plugin, which Harbor calls, and Debian's package of the daemon is without. */
const compose: GoBuild = {
  version: "2.40.3",
  module: "docker-compose",
  package: "github.com/docker/compose/v2/cmd",
  ldflags: [],
  seconds: 90,
};

/** Path of the compose plugin, built first if it is not in the cache: 90 s on two cores with empty caches. */
export function obtainCompose(): Promise<string> {
  return obtainProgram("docker-compose", compose);
}

/**
 * Installs what is missing, where that can be done without a question: as root, with apt.
 * @returns Why something is still missing; the tests that need it then fail or are skipped, and say so as well.
 */
export function installTools(): string | undefined {
  const missing = absent();
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((name) => needed[name]))];
  const sentence = `The tests with real packets need ${missing.join(", ")}. Install: ${packages.join(", ")}.`;
  if (process.getuid?.() !== 0 || !found("apt-get")) return sentence;
  process.stderr.write(`installing ${packages.join(", ")} …\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) => spawnSync("apt-get", args, { env, encoding: "utf8" });
  const install = () => apt("install", "-y", "-q", "--no-install-recommends", ...packages);
  const errors = withoutServices(() => {
    let done = install();
    if (done.status !== 0) {
      apt("update", "-q");
      done = install();
    }
    return done.stderr;
  });
  return absent().length === 0 ? undefined : `${sentence}\n${errors}`;
}

/** Debian's packages start their services, unless this file forbids it. */
function withoutServices<T>(install: () => T): T {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return install();
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    return install();
  } finally {
    rmSync(policy);
  }
}

function absent(): (keyof typeof needed)[] {
  return (Object.keys(needed) as (keyof typeof needed)[]).filter((name) => !found(name));
}

function found(name: string): boolean {
  const folders = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`.split(":");
  return folders.some((folder) => existsSync(`${folder}/${name}`));
}
