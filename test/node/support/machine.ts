/** What of the machine a node may have left behind. Other tests change the machine meanwhile, so only its own traces count. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { nodeFiles } from "../../../lab/node/layout.ts";
import { paths } from "./lab.ts";

/** Settings that kubelet and kube-proxy change on an ordinary machine. */
const settings = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
  "net/ipv4/conf/all/route_localnet",
  "net/netfilter/nf_conntrack_max",
];

export function kernelSettings(): Record<string, string> {
  const there = settings.filter((name) => existsSync(`/proc/sys/${name}`));
  return Object.fromEntries(
    there.map((name) => [name, readFileSync(`/proc/sys/${name}`, "utf8").trim()]),
  );
}

/** Processes whose command line begins in the lab's folder, by id. */
export function labProcesses(): Map<number, string> {
  return new Map(
    processes()
      .map((pid) => [pid, read(`/proc/${pid}/cmdline`).replaceAll("\0", " ")] as const)
      .filter(([, command]) => command.startsWith(`${paths.directory}/`)),
  );
}

const kinds = ["net", "mnt", "pid", "ipc", "uts"];

/** The namespaces of processes, as the kernel numbers them: `net:[4026532211]`. */
export function namespacesOf(pids: Iterable<number>): Set<string> {
  return new Set(
    [...pids].flatMap((pid) =>
      kinds.flatMap((kind) => {
        try {
          return [readlinkSync(`/proc/${pid}/ns/${kind}`)];
        } catch {
          return [];
        }
      }),
    ),
  );
}

/** Every process of the namespaces, pods' included. */
export function processesOf(namespaces: ReadonlySet<string>): number[] {
  return processes().filter((pid) => [...namespacesOf([pid])].some((name) => namespaces.has(name)));
}

/** Everything that carries the lab's id or its folder, by where it was found. */
export function traces(): string[] {
  const { id, directory } = nodeFiles(paths);
  const ours = (line: string) => line.includes(id) || line.includes(directory);
  const lines = (text: string) => text.split("\n");
  return [
    ...lines(readFileSync("/proc/self/mountinfo", "utf8")).filter(ours),
    ...lines(output("ip", ["netns", "list"])).filter(ours),
    ...cgroups("/sys/fs/cgroup").filter(ours),
    // The rules of kube-proxy and kube-router belong into the node's namespace.
    ...["iptables-save", "iptables-legacy-save"].flatMap((command) =>
      lines(output(command, [])).filter((line) => line.includes("KUBE-")),
    ),
    ...[...labProcesses()].map(([pid, command]) => `${pid} ${command}`),
    ...(existsSync(directory) ? [directory] : []),
  ];
}

function output(command: string, args: readonly string[]): string {
  return spawnSync(command, args, { encoding: "utf8" }).stdout;
}

function cgroups(folder: string): string[] {
  const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return inner.flatMap(({ name }) => {
    const path = join(folder, name);
    try {
      return [path, ...cgroups(path)];
    } catch {
      // It was removed meanwhile.
      return [path];
    }
  });
}

function processes(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
