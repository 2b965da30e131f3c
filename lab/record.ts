/** What a lab knows of itself. All of it can be found out or made again; it saves the time. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readIfThere, writeWhole } from "./files.ts";
import type { LabPaths } from "./paths.ts";
import { catalogue } from "./tools/catalogue.ts";
import type { ObtainedTool } from "./tools/tool.ts";

export interface Ports {
  readonly apiServer: number;
  readonly etcd: number;
  readonly etcdPeer: number;
  readonly controllerManager: number;
  readonly scheduler: number;
  readonly kwok: number;
}

export interface LabRecord {
  /** Of this file's form; another one is not read. */
  readonly form: 1;
  /** A lab that was moved or copied is not the one that is written about. */
  readonly directory: string;
  readonly tools: readonly ObtainedTool[];
  readonly gpuNodes: number;
  readonly ports?: Ports;
  /** Hash of the kwok.yaml that the control plane runs with. */
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

/** Whether all tools are still where they were. */
export function hasTools({ tools }: LabRecord): boolean {
  return catalogue.every(({ name }) => {
    const tool = tools.find((obtained) => obtained.name === name);
    return tool !== undefined && existsSync(tool.path);
  });
}
