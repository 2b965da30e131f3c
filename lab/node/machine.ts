/** What a machine must have for a real node, asked before anything is obtained or built. */
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { run } from "../run.ts";
import { which } from "../tools/machine.ts";
import { hierarchies } from "./cgroups.ts";
import { nodeFiles, sockets } from "./layout.ts";

/** A path of a socket has at most 107 bytes on Linux. */
const longestSocket = 107;

/**
 * Asks what needs no lab: whose machine it is, and its cgroups.
 * @throws {LabError} In one sentence, if the machine cannot have a real node.
 */
export function demandMachine(paths: LabPaths): void {
  refuse(findProblem(paths));
}

/**
 * Tries what the node needs of the kernel, in a folder of the lab.
 * @throws {LabError} In one sentence, if the machine cannot have a real node.
 */
export async function demandNamespaces(paths: LabPaths): Promise<void> {
  refuse(await findNamespaceProblem(paths));
}

function refuse(problem: string | undefined): void {
  if (problem === undefined) return;
  throw new LabError(
    `A real node is not possible here: ${problem}; simulated nodes need none of that: npm run lab -- up --node simulated`,
  );
}

function findProblem(paths: LabPaths): string | undefined {
  if (process.platform !== "linux") return `it needs Linux, and this is ${process.platform}`;
  const user = process.getuid?.();
  if (user !== 0) return `it needs root, and this is user ${user ?? "?"}`;
  const socket = join(nodeFiles(paths).sockets, sockets.toNode);
  const excess = Buffer.byteLength(socket) - longestSocket;
  if (excess > 0) return `the path of the project is ${excess} characters too long for a socket`;
  return findCgroupProblem(paths);
}

function findCgroupProblem(paths: LabPaths): string | undefined {
  const found = hierarchies();
  if (typeof found === "string") return `it needs more cgroups, and this machine has ${found}`;
  const name = `${nodeFiles(paths).id}-probe`;
  for (const hierarchy of found) {
    const probe = join(hierarchy, name);
    try {
      mkdirSync(probe, { recursive: true });
      rmdirSync(probe);
    } catch (error) {
      return `no cgroup can be made in ${hierarchy} (${(error as Error).message})`;
    }
  }
  return undefined;
}

/** Tries all namespaces that the node has, and in them what pods need: an overlay in the lab's folder, and a pair of interfaces. */
const attempt = `set -e
mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/merged"
test ! -x "$2" || "$2" link add type veth
`;

async function findNamespaceProblem(paths: LabPaths): Promise<string | undefined> {
  const unshare = which("unshare");
  if (unshare === undefined) return "it needs the program unshare (package util-linux)";
  mkdirSync(paths.directory, { recursive: true });
  const scratch = mkdtempSync(join(paths.directory, "probe-"));
  try {
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(scratch, name));
    const { code, stderr } = await run(unshare, [
      ...namespaceOptions,
      "sh",
      "-c",
      attempt,
      "sh",
      scratch,
      which("ip") ?? "",
    ]);
    if (code === 0) return undefined;
    const [first = "no message"] = stderr.trim().split("\n");
    return `namespaces, an overlay in ${paths.directory} or a pair of interfaces were refused (${first})`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Options of `unshare`: the node's processes live in a process namespace, so the end of its first process ends all of
 * them, and with them their mounts, networks and firewall rules.
 */
export const namespaceOptions = [
  "--fork",
  "--kill-child",
  "--pid",
  "--mount-proc",
  "--mount",
  "--propagation",
  "slave",
  "--net",
  "--ipc",
  "--uts",
] as const;
