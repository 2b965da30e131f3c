/** Brings a lab up or repairs it; does nothing if it is up. */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync } from "node:fs";
import { bringUp, openApi, survey } from "../control-plane/bring-up.ts";
import { defaultGpuNodes, provideNodes } from "../control-plane/nodes.ts";
import { installDefinitions, startOperator } from "../control-plane/operator.ts";
import { findRunning, operatorPart } from "../control-plane/parts.ts";
import { freePorts } from "../control-plane/ports.ts";
import { provideVolumes } from "../control-plane/volumes.ts";
import { writeWhole } from "../files.ts";
import { writeKubeconfig } from "../kubeconfig.ts";
import { linkTools } from "../links.ts";
import { withLock } from "../lock.ts";
import type { LabPaths } from "../paths.ts";
import { endProcesses } from "../processes.ts";
import { removeDeadLocks } from "../pulumi/state.ts";
import { hasTools, readRecord, type LabRecord, writeRecord } from "../record.ts";
import { Cache, cacheDirectory } from "../tools/cache.ts";
import { Network } from "../tools/network.ts";
import { obtainTools } from "../tools/provide.ts";
import { type ObtainedTool, platformOf } from "../tools/tool.ts";
import { formatCount, type Progress } from "../progress.ts";

export interface UpOptions {
  /** undefined: the number that the lab has, else the default. */
  readonly gpuNodes: number | undefined;
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
    const tools = await timed("tools", () => provideTools(paths, old, { progress, done }));
    const gpuNodes = options.gpuNodes ?? old?.gpuNodes ?? defaultGpuNodes;
    const record: LabRecord = { ...old, form: 1, directory: paths.directory, tools, gpuNodes };
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
  { progress, done }: Log,
): Promise<readonly ObtainedTool[]> {
  if (old && hasTools(old)) {
    if (linkTools(paths, old.tools)) tell("links to the tools restored", { progress, done });
    return old.tools;
  }
  const tools = await obtainTools({
    cache: new Cache(cacheDirectory()),
    network: new Network(),
    platform: platformOf(),
    progress,
    root: paths.root,
  });
  linkTools(paths, tools);
  done.push(formatCount(tools.length, "tool"));
  return tools;
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
    const definitions = log.progress.task("KubeRay, nodes, volumes", 10, async () => {
      const [installed, nodes, volumes] = await Promise.all([
        installDefinitions(api, record.tools),
        provideNodes(api, record.gpuNodes),
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
