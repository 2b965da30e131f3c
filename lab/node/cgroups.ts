/** The cgroups of the node's pods, all below one that has the lab's id. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const mounted = "/sys/fs/cgroup";
const cgroup2Magic = 0x63677270;

/** What kubelet and runc need. In the first version each is a hierarchy of its own. */
const controllers1 = [
  "cpu",
  "cpuacct",
  "cpuset",
  "memory",
  "pids",
  "devices",
  "freezer",
  "blkio",
  "systemd",
] as const;
const controllers2 = ["cpu", "cpuset", "memory", "pids"] as const;

/** Folders of the hierarchies. A text says what is missing. */
export function hierarchies(): readonly string[] | string {
  if (!existsSync(mounted)) return `${mounted} does not exist`;
  if (statfsSync(mounted).type === cgroup2Magic) {
    const offered = readFileSync(join(mounted, "cgroup.controllers"), "utf8").trim().split(/\s+/);
    const missing = controllers2.filter((name) => !offered.includes(name));
    return missing.length > 0
      ? `cgroup version 2 without the controllers ${missing.join(", ")}`
      : [mounted];
  }
  const missing = controllers1.filter((name) => !existsSync(join(mounted, name, "cgroup.procs")));
  return missing.length > 0
    ? `cgroup version 1 without ${missing.map((name) => join(mounted, name)).join(", ")}`
    : // cpu and cpuacct are often one hierarchy with two names; making a cgroup twice does no harm.
      controllers1.map((name) => join(mounted, name));
}

/** @throws {Error} If the cgroups cannot be made. */
export function makeCgroups(id: string): void {
  for (const hierarchy of demand()) {
    const folder = join(hierarchy, id);
    mkdirSync(folder, { recursive: true });
    // In the first version a new cpuset is empty, and nothing runs in it.
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if (hierarchy.endsWith("/cpuset")) {
        writeFileSync(join(folder, file), readFileSync(join(hierarchy, file)));
      }
    }
  }
}

/** Processes in the node's pods. */
export function processesInPods(id: string): Set<number> {
  const pids = new Set<number>();
  for (const folder of all(id)) {
    for (const pid of readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n")) {
      if (pid !== "") pids.add(Number(pid));
    }
  }
  return pids;
}

/** Removes the cgroups, from the innermost out. They must have no processes. */
export function removeCgroups(id: string): void {
  for (const folder of all(id)) rmdirSync(folder);
}

/** The node's cgroups, each after those in it. */
function all(id: string): string[] {
  if (!existsSync(mounted)) return [];
  const walk = (folder: string): string[] => {
    const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    return [...inner.flatMap(({ name }) => walk(join(folder, name))), folder];
  };
  // runc makes them in hierarchies too that nothing here needs, such as `unified`.
  const roots = [mounted, ...readdirSync(mounted).map((name) => join(mounted, name))];
  return roots
    .map((root) => join(root, id))
    .filter((folder) => existsSync(folder))
    .flatMap(walk);
}

function demand(): readonly string[] {
  const found = hierarchies();
  if (typeof found === "string") throw new Error(found);
  return found;
}
