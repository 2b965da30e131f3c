/** Programs that the runtime tests need beside Python: a network of namespaces with a filter on it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Programs by the Debian package that has them. */
const needed = { nft: "nftables", ip: "iproute2", nsenter: "util-linux", unshare: "util-linux" };

/**
 * Installs what is missing, where that can be done without a question: as root, with apt.
 * @returns Why something is still missing; the tests that need it then fail, and say so as well.
 */
export function installTools(): string | undefined {
  const missing = absent();
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((name) => needed[name]))];
  const sentence = `The tests of the egress proof need ${missing.join(", ")}. Install: ${packages.join(", ")}.`;
  if (process.getuid?.() !== 0 || !found("apt-get")) return sentence;
  process.stderr.write(`installing ${packages.join(", ")} …\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) => spawnSync("apt-get", args, { env, encoding: "utf8" });
  let done = apt("install", "-y", "-q", "--no-install-recommends", ...packages);
  if (done.status !== 0) {
    apt("update", "-q");
    done = apt("install", "-y", "-q", "--no-install-recommends", ...packages);
  }
  return absent().length === 0 ? undefined : `${sentence}\n${done.stderr}`;
}

function absent(): (keyof typeof needed)[] {
  return (Object.keys(needed) as (keyof typeof needed)[]).filter((name) => !found(name));
}

function found(name: string): boolean {
  const folders = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`.split(":");
  return folders.some((folder) => existsSync(`${folder}/${name}`));
}
