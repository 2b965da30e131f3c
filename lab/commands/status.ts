/** Shows what runs, where the tools come from, and what the lab simulates. */
import type { Api, KubernetesObject } from "../control-plane/api.ts";
import { openApi } from "../control-plane/bring-up.ts";
import { isReady, type NodeObject } from "../control-plane/nodes.ts";
import { findRunning, type Part, parts, toolOf } from "../control-plane/parts.ts";
import type { VolumeObject } from "../control-plane/volumes.ts";
import { processesInPods } from "../node/cgroups.ts";
import { nodeFiles } from "../node/layout.ts";
import { nodeParts, type RunningNode, shimsOf } from "../node/parts.ts";
import { contextName, type LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { nameOf, type Process } from "../processes.ts";
import { stacksOf } from "../pulumi/state.ts";
import { formatCount } from "../progress.ts";
import { readRecord, type LabRecord } from "../record.ts";
import { catalogue, nodeCatalogue } from "../tools/catalogue.ts";
import type { ObtainedTool, Source } from "../tools/tool.ts";
import { realAndSimulated, standIns } from "./limits.ts";

export interface Status {
  readonly text: string;
  readonly exitCode: 0 | 3 | 4;
}

export async function status(paths: LabPaths): Promise<Status> {
  const record = readRecord(paths);
  const running = await findRunning(paths);
  const api = record?.ports && openApi(paths, record.ports);
  // Without etcd the API server answers some requests and hangs on others.
  const answers = running.parts.has("etcd") && ((await api?.isReady()) ?? false);
  const isReal = record?.nodes === "real";
  const isWhole =
    running.parts.size === parts.length &&
    running.node.parts.size === (isReal ? nodeParts.length : 0);
  const isDown = running.parts.size === 0 && running.node.parts.size === 0;
  const exitCode = isDown ? 3 : answers && isWhole ? 0 : 4;
  const lines = [
    headline(paths, exitCode),
    ...(isDown ? [] : ["", ...partLines(running.parts, record)]),
    ...(isReal || running.node.parts.size > 0 ? await nodeLines(paths, running.node, record) : []),
    ...processLines(paths, "left by a killed command (up and down end them)", running.leftovers),
    ...processLines(paths, "using the lab", running.clients),
    ...(api && answers ? ["", ...(await clusterLines(paths, api).catch(tellFailure))] : []),
    ...(record ? ["", "tools", ...toolsOf(record).map(toolLine)] : []),
    ...(record && exitCode !== 3
      ? ["", ...realAndSimulated(record), ...standIns(record.tools)]
      : []),
  ];
  api?.close();
  return { text: `${lines.join("\n")}\n`, exitCode };
}

function tellFailure(error: unknown): string[] {
  if (error instanceof LabError) return [`  ${error.message}`];
  throw error;
}

function headline({ name }: LabPaths, exitCode: Status["exitCode"]): string {
  switch (exitCode) {
    case 0:
      return `lab ${name} is up (context ${contextName})`;
    case 3:
      return `lab ${name} is down. Bring it up: npm run lab -- up`;
    case 4:
      return `lab ${name} is partly up. Repair it: npm run lab -- up. Or end it: npm run lab -- down`;
  }
}

function partLines(running: ReadonlyMap<Part, Process>, record: LabRecord | undefined): string[] {
  return parts.map((part) => {
    const found = running.get(part);
    const version = record?.tools.find(({ name }) => name === toolOf(part))?.version ?? "";
    const state = found ? `process ${found.pid} since ${since(found)}` : "does not run";
    return row(part, version, state);
  });
}

async function nodeLines(
  paths: LabPaths,
  running: RunningNode,
  record: LabRecord | undefined,
): Promise<string[]> {
  const { parts, others } = running;
  const lines = nodeParts.map((part) => {
    const found = parts.get(part);
    const version = record?.nodeTools?.find(({ name }) => name === part)?.version ?? "";
    return row(
      part,
      version,
      found ? `process ${found.pid} since ${since(found)}` : "does not run",
    );
  });
  const named = [
    ...others.map((found) => [nameOf(paths.directory, found), found] as const),
    ...(await shimsOf(running)).map((found) => ["containerd-shim-runc-v2", found] as const),
  ];
  const rest = named.map(([name, found]) =>
    row(name, "", `process ${found.pid} since ${since(found)}`),
  );
  const inPods = formatCount(processesInPods(nodeFiles(paths).id).size, "process", "processes");
  return ["", "real node", ...lines, ...rest, row("pods", "", inPods)];
}

function toolsOf({ tools, nodes, nodeTools = [] }: LabRecord): readonly ObtainedTool[] {
  return nodes === "real" ? [...tools, ...nodeTools] : tools;
}

function processLines(paths: LabPaths, title: string, processes: readonly Process[]): string[] {
  if (processes.length === 0) return [];
  const lines = processes.map((found) => {
    return row(nameOf(paths.directory, found), "", `process ${found.pid} since ${since(found)}`);
  });
  return ["", title, ...lines];
}

async function clusterLines(paths: LabPaths, api: Api): Promise<string[]> {
  const [nodes, volumes, clusters] = await Promise.all([
    api.list<NodeObject>("/api/v1/nodes"),
    api.list<VolumeObject>("/api/v1/persistentvolumes"),
    api.list<KubernetesObject>("/apis/ray.io/v1/rayclusters").catch(() => []),
  ]);
  const pools = Map.groupBy(
    nodes,
    ({ metadata }) => metadata.labels?.["swe-rl.dev/pool"] ?? "other",
  );
  const counts = Array.from(pools, ([pool, members]) => `${members.length} ${pool}`);
  const bound = volumes.filter(({ status }) => status?.phase === "Bound").length;
  const stacks = stacksOf(paths);
  return [
    row("nodes", "", `${counts.join(", ")}; ${nodes.filter(isReady).length} ready`),
    row("volumes", "", `${volumes.length}, of which ${bound} bound`),
    row("RayClusters", "", String(clusters.length)),
    row("stacks", "", stacks.length > 0 ? stacks.join(", ") : "none"),
  ];
}

const sources: Readonly<Record<Source, string>> = {
  machine: "found on this machine",
  download: "downloaded",
  go: "built with Go",
  debian: "unpacked",
  "stand-in": "stand-in",
};

function toolLine({ name, version, source, origin }: ObtainedTool): string {
  const role = [...catalogue, ...nodeCatalogue].find((tool) => tool.name === name)?.role;
  return row(name, version, `${role ? `${role}; ` : ""}${sources[source]}: ${origin}`);
}

function row(name: string, version: string, text: string): string {
  return `  ${name.padEnd(27)}${version.padEnd(9)}${text}`;
}

/** Local time, with the date unless it is today. */
function since({ since }: Process): string {
  const isToday = since.toDateString() === new Date().toDateString();
  const time = since.toTimeString().slice(0, 8);
  return isToday ? time : `${since.toDateString()} ${time}`;
}
