/** Brings the real node up beside a running control plane, and ends it. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Api } from "../control-plane/api.ts";
import { lastLines, readIfThere, writeWhole } from "../files.ts";
import { pause } from "../interrupt.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { endProcesses, processesIn } from "../processes.ts";
import type { ObtainedTool } from "../tools/tool.ts";
import { provideBaseImages } from "./base-images.ts";
import { identities, type Identity, issue } from "./certificates.ts";
import { makeCgroups, processesInPods, removeCgroups } from "./cgroups.ts";
import { egressSelector, texts, writeConfiguration } from "./configuration.ts";
import type { Packages } from "./debian.ts";
import { imagesOf } from "./image.ts";
import { nodeFiles } from "./layout.ts";
import { makeNamespaces } from "./namespaces.ts";
import { applySystemObjects, correctApiPort, restartNames } from "./objects.ts";
import { waitForNode, waitForRegistration } from "./readiness.ts";
import { nodeLog, type NodePart, nodeParts, type RunningNode, sortOutNode } from "./parts.ts";
import { flags, startPart } from "./programs.ts";

/** What the node is to be. */
export interface NodeWish extends Packages {
  readonly tools: readonly ObtainedTool[];
  readonly apiPort: number;
}

export async function findNode(paths: LabPaths): Promise<RunningNode> {
  return sortOutNode(paths, await processesIn(paths.directory)).node;
}

/** Writes what the API server reads at its start. */
export function writeEgressSelector(paths: LabPaths): void {
  writeWhole(nodeFiles(paths).egress, stringify(egressSelector(paths)));
}

/** Parts that have to be started. All of them, if the namespaces are gone or the node was made for something else. */
export async function missingParts(paths: LabPaths, wish: NodeWish): Promise<readonly NodePart[]> {
  const { parts } = await findNode(paths);
  const isOurs = readIfThere(markFile(paths)) === mark(paths, wish);
  if (!parts.has("namespaces") || !isOurs) return nodeParts;
  return nodeParts.filter((part) => !parts.has(part));
}

/**
 * Starts the missing parts and waits until the node takes pods.
 * @returns Descriptions of the changes.
 */
export async function bringNodeUp(paths: LabPaths, api: Api, wish: NodeWish): Promise<string[]> {
  const missing = await missingParts(paths, wish);
  // kube-router gives up for a while what it may not read at its start.
  await Promise.all([applySystemObjects(api), correctApiPort(api, wish.apiPort)]);
  if (missing.includes("namespaces")) {
    await endNode(paths);
    await restartNames(api);
    await prepare(paths, wish);
  }
  const find = async () => (await findNode(paths)).parts.get("namespaces")?.pid;
  const pid = missing.includes("namespaces")
    ? await makeNamespaces(paths, find)
    : ((await find()) ?? 0);
  for (const part of missing) {
    // kube-router ends if it does not find its node.
    if (part === "kube-router") await waitForRegistration(api, demandParts(paths, "kubelet"));
    await startPart(paths, part, { pid, apiPort: wish.apiPort });
    if (part === "containerd") await waitForContainerd(paths, pid);
  }
  const images = await provideBaseImages(paths, pid, wish);
  const kubelet = (await findNode(paths)).parts.get("kubelet");
  if (!kubelet) throw new NodePartEnded(paths, "kubelet");
  await waitForNode(api, kubelet.since, demandParts(paths, ...nodeParts));
  writeWhole(markFile(paths), mark(paths, wish));
  const started = missing.length === nodeParts.length ? ["real node"] : missing;
  return [...(started.length > 0 ? [`${started.join(", ")} started`] : []), ...images];
}

/** A check that throws if one of the parts has ended. */
function demandParts(paths: LabPaths, ...demanded: NodePart[]): () => Promise<void> {
  return async () => {
    const { parts } = await findNode(paths);
    const ended = demanded.find((part) => !parts.has(part));
    if (ended) throw new NodePartEnded(paths, ended);
  };
}

/** A part ended unexpectedly. */
class NodePartEnded extends LabError {
  override readonly name = "NodePartEnded";

  constructor(paths: LabPaths, part: NodePart) {
    const log = nodeLog(paths, part);
    super(
      `The node's ${part} ended right after its start. The end of its log, ${log}:\n${lastLines(log, 12)}`,
    );
  }
}

/** Identifies with what a node was made. */
function mark(paths: LabPaths, { tools, apiPort }: NodeWish): string {
  const programs = tools.map(({ name, path }) => [name, path]);
  const authority = readIfThere(join(paths.data, "pki", "ca.crt"));
  const made = JSON.stringify([programs, apiPort, authority, texts(paths), flags(paths)]);
  return createHash("sha256").update(made).digest("hex");
}

function markFile(paths: LabPaths): string {
  return join(nodeFiles(paths).directory, "mark");
}

async function prepare(paths: LabPaths, { apiPort }: NodeWish): Promise<void> {
  const { id, pki, sockets } = nodeFiles(paths);
  mkdirSync(sockets, { recursive: true });
  mkdirSync(paths.logs, { recursive: true });
  makeCgroups(id);
  mkdirSync(pki, { recursive: true, mode: 0o700 });
  cpSync(join(paths.data, "pki", "ca.crt"), join(pki, "ca.crt"));
  for (const identity of Object.keys(identities) as Identity[]) await issue(paths, identity, pki);
  writeConfiguration(paths, apiPort);
}

async function waitForContainerd(paths: LabPaths, pid: number): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await imagesOf(paths, pid);
      return;
    } catch (error) {
      if (!(error instanceof LabError) || error.name !== "LabError") throw error;
      if (!(await findNode(paths)).parts.has("containerd")) {
        throw new NodePartEnded(paths, "containerd");
      }
      if (Date.now() > deadline) throw error;
      await pause(50);
    }
  }
}

/**
 * Ends the node and removes its cgroups. The end of the namespaces' first process ends every process in them, and the
 * last of these takes mounts, interfaces and firewall rules along.
 */
export async function endNode(paths: LabPaths): Promise<void> {
  const { parts, others } = await findNode(paths);
  const { id } = nodeFiles(paths);
  const running = [...parts.values(), ...others];
  await endProcesses(paths.directory, running, 0);
  // Should a namespace be damaged, its pods outlive its first process no longer than this.
  for (let i = 0; i < 200 && processesInPods(id).size > 0; i++) {
    for (const pid of processesInPods(id)) kill(pid);
    await sleep(25);
  }
  removeCgroups(id);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
