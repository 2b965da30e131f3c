/** A cache of facts about a lab, which saves time: `up` works without it. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readIfThere, writeWhole } from "./files.ts";
import type { LabPaths } from "./paths.ts";
import { debianPrograms } from "./node/debian.ts";
import { catalogue, nodeCatalogue } from "./tools/catalogue.ts";
import type { ObtainedTool } from "./tools/tool.ts";

export interface Ports {
  readonly apiServer: number;
  readonly etcd: number;
  readonly etcdPeer: number;
  readonly controllerManager: number;
  readonly scheduler: number;
  readonly kwok: number;
}

/** Simulated nodes, or one real node. */
export type NodeKind = "simulated" | "real";

export interface LabRecord {
  /** Version of the format; other versions are ignored. */
  readonly form: 1;
  /** The record of a moved or copied lab is ignored. */
  readonly directory: string;
  readonly tools: readonly ObtainedTool[];
  /** Programs of the real node. */
  readonly nodeTools?: readonly ObtainedTool[];
  /** Simulated ones. */
  readonly gpuNodes: number;
  /** undefined: simulated. */
  readonly nodes?: NodeKind;
  /** For what nodes the running control plane was started. */
  readonly startedFor?: NodeKind;
  readonly ports?: Ports;
  /** Hash of the kwok.yaml that the running control plane uses. */
  readonly kwokConfig?: string;
  readonly operatorPorts?: { readonly metrics: number; readonly health: number };
}

export function readRecord(paths: LabPaths): LabRecord | undefined {
  try {
    const record = JSON.parse(readIfThere(paths.record) ?? "") as Partial<LabRecord>;
    const isOurs = record.form === 1 && record.directory === paths.directory;
    return isOurs ? (record as LabRecord) : undefined;
  } catch {
    return undefined;
  }
}

export function writeRecord(paths: LabPaths, record: LabRecord): void {
  writeWhole(paths.record, `${JSON.stringify(record, undefined, 2)}\n`);
}

export function kwokConfigHash(paths: LabPaths): string | undefined {
  const text = readIfThere(join(paths.cluster, "kwok.yaml"));
  return text === undefined ? undefined : createHash("sha256").update(text).digest("hex");
}

/** Whether the files of all tools still exist. */
export function hasTools({ tools }: LabRecord): boolean {
  return areThere(
    tools,
    catalogue.map(({ name }) => name),
  );
}

/** Whether the files of all programs of the real node still exist. */
export function hasNodeTools({ nodeTools = [] }: LabRecord): boolean {
  return areThere(nodeTools, [...nodeCatalogue.map(({ name }) => name), ...debianPrograms]);
}

function areThere(tools: readonly ObtainedTool[], names: readonly string[]): boolean {
  return names.every((name) => {
    const tool = tools.find((obtained) => obtained.name === name);
    return tool !== undefined && existsSync(tool.path);
  });
}
