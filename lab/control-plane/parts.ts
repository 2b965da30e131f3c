/** The processes of a control plane, and which of them run. */
import { join } from "node:path";
import type { LabPaths } from "../paths.ts";
import { type RunningNode, sortOutNode } from "../node/parts.ts";
import { type Process, processesIn, runs } from "../processes.ts";

/** The names are kwokctl's. */
export const kwokParts = [
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kwok-controller",
] as const;
export const operatorPart = "kuberay-operator";
export const parts = [...kwokParts, operatorPart] as const;
export type Part = (typeof parts)[number];

/** The tool that a part runs. */
export function toolOf(part: Part): string {
  return part === "kwok-controller" ? "kwok" : part;
}

export function executableOf(paths: LabPaths, part: Part): string {
  return part === operatorPart ? join(paths.bin, part) : join(paths.cluster, "bin", part);
}

export function logOf(paths: LabPaths, part: Part): string {
  return part === operatorPart
    ? join(paths.logs, `${part}.log`)
    : join(paths.cluster, "logs", `${part}.log`);
}

export interface Running {
  readonly parts: ReadonlyMap<Part, Process>;
  readonly node: RunningNode;
  /** Left by a killed `up`: kwokctl, or a second copy of a part. */
  readonly leftovers: readonly Process[];
  /** Programs that use the lab: Pulumi and its plugins. */
  readonly clients: readonly Process[];
}

export async function findRunning(paths: LabPaths): Promise<Running> {
  return sortOut(paths, await processesIn(paths.directory));
}

export function sortOut(paths: LabPaths, processes: readonly Process[]): Running {
  const found = new Map<Part, Process>();
  const leftovers: Process[] = [];
  const clients: Process[] = [];
  const { node, rest } = sortOutNode(paths, processes);
  for (const running of rest) {
    const part = parts.find((name) => runs(executableOf(paths, name), running));
    // kwokctl runs each program with a version argument before the start.
    if (part && / (--)?version$/.test(running.command)) continue;
    if (part && !found.has(part)) found.set(part, running);
    else if (part || runs(join(paths.bin, "kwokctl"), running)) leftovers.push(running);
    else clients.push(running);
  }
  return { parts: found, node, leftovers, clients };
}
