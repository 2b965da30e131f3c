/** Brings a lab up or repairs it; does nothing if it is up. */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { bringUp, openApi, survey } from "../control-plane/bring-up.ts";
import { defaultGpuNodes, nodeObjects, provideNodes } from "../control-plane/nodes.ts";
import { installDefinitions, startOperator } from "../control-plane/operator.ts";
import { findRunning, operatorPart } from "../control-plane/parts.ts";
import { freePorts } from "../control-plane/ports.ts";
import { provideVolumes } from "../control-plane/volumes.ts";
import { writeWhole } from "../files.ts";
import { writeKubeconfig } from "../kubeconfig.ts";
import { linkTools } from "../links.ts";
import { withLock } from "../lock.ts";
import { endNode } from "../node/bring-up.ts";
import { obtainPrograms } from "../node/debian.ts";
import { demandMachine, demandNamespaces } from "../node/machine.ts";
import { removeSystemObjects } from "../node/objects.ts";
import type { LabPaths } from "../paths.ts";
import { endProcesses } from "../processes.ts";
import { removeDeadLocks } from "../pulumi/state.ts";
import {
  hasNodeTools,
  hasTools,
  type LabRecord,
  type NodeKind,
  readRecord,
  writeRecord,
} from "../record.ts";
import { nodeCatalogue } from "../tools/catalogue.ts";
import { Cache, cacheDirectory } from "../tools/cache.ts";
import { Network } from "../tools/network.ts";
import { obtainTools, type Workshop } from "../tools/provide.ts";
import { platformOf } from "../tools/tool.ts";
import { formatCount, type Progress } from "../progress.ts";
import { provideRealNode } from "./real-node.ts";

export interface UpOptions {
  /** undefined: the number that the lab has, else the default. */
  readonly gpuNodes: number | undefined;
  /** undefined: the kind that the lab has, else simulated. */
  readonly nodes: NodeKind | undefined;
  readonly progress: Progress;
}

export interface Upped {
  readonly record: LabRecord;
  /** Times of the phases. */
  readonly phases: readonly Phase[];
  /** Descriptions of the changes; empty if the lab was up. */
  readonly done: readonly string[];
}

export interface Phase {
  readonly name: string;
  readonly seconds: number;
}

export async function up(paths: LabPaths, options: UpOptions): Promise<Upped> {
  const { progress } = options;
  const onWait = (pid: number | undefined) => {
    progress.line(`waiting for another command on this lab${pid ? ` (process ${pid})` : ""}`);
  };
  // Before anything is written: whoever cannot have a real node may not be able to write here either.
  if ((options.nodes ?? readRecord(paths)?.nodes) === "real") demandMachine(paths);
  return await withLock(paths.lock, onWait, async () => {
    mkdirSync(paths.directory, { recursive: true });
    // It contains administrator keys and the passphrase of the stacks.
    chmodSync(paths.directory, 0o700);
    const old = readRecord(paths);
    const done: string[] = [];
    const phases: Phase[] = [];
    const timed = async <T>(name: string, work: () => Promise<T>) => {
      const begin = performance.now();
      const result = await work();
      phases.push({ name, seconds: (performance.now() - begin) / 1000 });
      return result;
    };
    const nodes = options.nodes ?? old?.nodes ?? "simulated";
    if (nodes === "real") await demandNamespaces(paths);
    const obtained = await timed("tools", () =>
      provideTools(paths, old, { nodes, progress, done }),
    );
    const gpuNodes = options.gpuNodes ?? old?.gpuNodes ?? defaultGpuNodes;
    const record: LabRecord = {
      ...old,
      form: 1,
      directory: paths.directory,
      ...obtained,
      gpuNodes,
      nodes,
    };
    writeRecord(paths, record);
    providePulumi(paths, { progress, done });
    const running = await timed("control plane", () =>
      provideControlPlane(paths, record, { progress, done }),
    );
    if (running.ports && writeKubeconfig(paths, running.ports.apiServer)) {
      if (done.length === 0) tell("kubeconfig written", { progress, done });
    }
    const complete = await timed("KubeRay, nodes, volumes", () =>
      provideObjects(paths, running, { progress, done }),
    );
    if (nodes === "real") {
      await timed("real node", () => provideRealNode(paths, complete, { progress, done }));
    }
    return { record: complete, phases, done };
  });
}

interface Log {
  readonly progress: Progress;
  readonly done: string[];
}

async function provideTools(
  paths: LabPaths,
  old: LabRecord | undefined,
  { nodes, progress, done }: Log & { readonly nodes: NodeKind },
): Promise<Required<Pick<LabRecord, "tools" | "nodeTools">>> {
  const shop: Workshop = {
    cache: new Cache(cacheDirectory()),
    network: new Network(),
    platform: platformOf(),
    progress,
    root: paths.root,
  };
  const isReal = nodes === "real";
  const kept = old && hasTools(old) ? old.tools : undefined;
  const keptOfNode = old && (hasNodeTools(old) || !isReal) ? old.nodeTools : undefined;
  // Packages first: they take seconds, and fail where there is no apt.
  const programs = isReal && !keptOfNode ? await obtainPrograms(shop) : [];
  const tools = kept ?? (await obtainTools(shop));
  const built = isReal && !keptOfNode ? await obtainTools(shop, nodeCatalogue) : [];
  const nodeTools = keptOfNode ?? [...built, ...programs];
  const all = [...tools, ...(isReal ? nodeTools : [])];
  const linked = linkTools(paths, all);
  if (!kept || (isReal && !keptOfNode)) done.push(formatCount(all.length, "tool"));
  else if (linked) tell("links to the tools restored", { progress, done });
  return { tools, nodeTools };
}

/** Reports a step that takes no noticeable time. */
function tell(what: string, { progress, done }: Log): void {
  progress.line(what);
  done.push(what);
}

function providePulumi(paths: LabPaths, log: Log): void {
  mkdirSync(paths.pulumiHome, { recursive: true });
  mkdirSync(paths.pulumiState, { recursive: true });
  if (!existsSync(paths.passphrase)) {
    writeWhole(paths.passphrase, randomBytes(32).toString("base64url"), 0o600);
  }
  const locks = removeDeadLocks(paths);
  if (locks > 0) tell(`${formatCount(locks, "lock")} of killed Pulumi runs removed`, log);
}

async function provideControlPlane(
  paths: LabPaths,
  record: LabRecord,
  { progress, done }: Log,
): Promise<LabRecord> {
  const found = await survey(paths, record);
  const { decision } = found;
  const { parts: node } = found.running.node;
  // Its addresses are those of a running control plane.
  if (record.nodes !== "real" || decision.kind === "create") {
    await endNode(paths);
    if (node.size > 0) done.push("real node ended");
  }
  if (decision.kind === "nothing") return await bringUp(paths, record, found);
  const what =
    decision.kind === "start"
      ? `${decision.missing.join(", ")} restarted`
      : `control plane started${decision.because ? `, because ${decision.because}` : ""}`;
  done.push(what);
  return await progress.task("control plane: starting", 10, async () => ({
    result: await bringUp(paths, record, found),
    summary: what,
  }));
}

async function provideObjects(paths: LabPaths, record: LabRecord, log: Log): Promise<LabRecord> {
  const api = record.ports && openApi(paths, record.ports);
  if (!api) throw new Error("the control plane has no ports or certificates");
  try {
    const isReal = record.nodes === "real";
    if (!isReal) await removeSystemObjects(api);
    const definitions = log.progress.task("KubeRay, nodes, volumes", 10, async () => {
      const [installed, nodes, volumes] = await Promise.all([
        installDefinitions(api, record.tools),
        provideNodes(api, isReal ? [] : nodeObjects(record.gpuNodes)),
        provideVolumes(api),
      ]);
      const made = [
        ...(installed ? [formatCount(installed, "KubeRay definition")] : []),
        ...nodes,
        ...volumes,
      ];
      return { result: made, summary: made.join(", ") };
    });
    log.done.push(...(await definitions));
    return await provideOperator(paths, record, log);
  } finally {
    api.close();
  }
}

async function provideOperator(paths: LabPaths, record: LabRecord, log: Log): Promise<LabRecord> {
  if ((await findRunning(paths)).parts.has(operatorPart) && record.operatorPorts) {
    writeRecord(paths, record);
    return record;
  }
  const stale = (await findRunning(paths)).parts.get(operatorPart);
  if (stale) await endProcesses(paths.directory, [stale]);
  const [metrics = 0, health = 0] = await freePorts(2);
  const operatorPorts = { metrics, health };
  // Written before the start: an operator with unknown ports must be restarted.
  const complete = { ...record, operatorPorts };
  writeRecord(paths, complete);
  await log.progress.task("KubeRay operator: starting", 3, async () => {
    await startOperator(paths, operatorPorts);
    return { result: undefined, summary: "KubeRay operator started" };
  });
  log.done.push("KubeRay operator started");
  return complete;
}
