/** The processes of the real node, and which of them run. */
import { readlinkSync } from "node:fs";
import { join } from "node:path";
import type { LabPaths } from "../paths.ts";
import { allProcesses, nameOf, type Process, runs } from "../processes.ts";

/** In the order of their start. */
export const nodeParts = [
  "namespaces",
  "gateway (outside)",
  "gateway (inside)",
  "containerd",
  "kubelet",
  "kube-proxy",
  "kube-router",
] as const;
export type NodePart = (typeof nodeParts)[number];

export interface RunningNode {
  readonly parts: ReadonlyMap<NodePart, Process>;
  /** The parent of the first process; and what of a killed part is left. */
  readonly others: readonly Process[];
}

/** Executables that only the node has. */
const executables = ["catatonit", "unshare", "runc", "ctr"];

export function gatewayProgram({ root }: LabPaths): string {
  return join(root, "lab", "node", "gateway.ts");
}

export function partOf(paths: LabPaths, running: Process): NodePart | undefined {
  const gateway = `${join(paths.bin, "node")} ${gatewayProgram(paths)}`;
  if (running.command.startsWith(`${gateway} outside `)) return "gateway (outside)";
  if (running.command.startsWith(`${gateway} inside `)) return "gateway (inside)";
  if (runs(join(paths.bin, "catatonit"), running)) return "namespaces";
  return nodeParts.find((part) => runs(join(paths.bin, part), running));
}

/** Takes the node's processes out of those of the lab. */
export function sortOutNode(
  paths: LabPaths,
  processes: readonly Process[],
): { readonly node: RunningNode; readonly rest: readonly Process[] } {
  const parts = new Map<NodePart, Process>();
  const others: Process[] = [];
  const rest: Process[] = [];
  for (const running of processes) {
    const part = partOf(paths, running);
    if (part && !parts.has(part)) parts.set(part, running);
    else if (part || executables.includes(nameOf(paths.directory, running))) others.push(running);
    else rest.push(running);
  }
  return { node: { parts, others }, rest };
}

/** The processes that containerd has for its pods, one each. They run what the links of the lab point at. */
export async function shimsOf({ parts }: RunningNode): Promise<readonly Process[]> {
  const first = parts.get("namespaces");
  if (!first) return [];
  const own = namespaceOf(first.pid);
  return (await allProcesses()).filter(
    ({ pid, command }) => /\/containerd-shim-\S+ /.test(command) && namespaceOf(pid) === own,
  );
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

export function nodeLog(paths: LabPaths, part: NodePart): string {
  return join(paths.logs, `node-${part.replaceAll(/\W+/g, "-").replace(/-$/, "")}.log`);
}
