/** Brings the control plane up from any state. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../interrupt.ts";
import type { LabPaths } from "../paths.ts";
import { endProcesses } from "../processes.ts";
import { extendServingCertificate } from "../node/certificates.ts";
import { writeEgressSelector } from "../node/bring-up.ts";
import { kwokConfigHash, type Ports, type LabRecord, writeRecord } from "../record.ts";
import { Api } from "./api.ts";
import { decide, type Decision } from "./decision.ts";
import { PartEnded, waitForControlPlane } from "./health.ts";
import { createControlPlane, startMissingParts } from "./kwok.ts";
import { findRunning, type Running } from "./parts.ts";
import { freePorts } from "./ports.ts";

export interface Survey {
  readonly running: Running;
  readonly decision: Decision;
}

/** Finds out what runs and what has to be done. */
export async function survey(paths: LabPaths, record: LabRecord | undefined): Promise<Survey> {
  const running = await findRunning(paths);
  const etcd = join(paths.data, "etcd");
  const decision = decide({
    running: new Set(running.parts.keys()),
    answers: await answersSoon(paths, record, running),
    intact: record?.kwokConfig !== undefined && record.kwokConfig === kwokConfigHash(paths),
    fits: (record?.startedFor ?? "simulated") === (record?.nodes ?? "simulated"),
    hasData: existsSync(etcd) && readdirSync(etcd).length > 0,
  });
  return { running, decision };
}

/** On a busy machine a healthy API server may need seconds to answer. */
async function answersSoon(
  paths: LabPaths,
  record: LabRecord | undefined,
  { parts }: Running,
): Promise<boolean> {
  if (!record?.ports || !parts.has("kube-apiserver") || !parts.has("etcd")) return false;
  const api = openApi(paths, record.ports);
  if (!api) return false;
  try {
    for (let i = 0; i < 20; i++) {
      if (await api.isReady()) return true;
      await pause(500);
    }
    return false;
  } finally {
    api.close();
  }
}

/** undefined without certificates. */
export function openApi(paths: LabPaths, ports: Ports): Api | undefined {
  try {
    return new Api(paths, ports.apiServer);
  } catch {
    return undefined;
  }
}

/**
 * Carries out the decision.
 * @returns The record, with the ports of a new control plane.
 */
export async function bringUp(
  paths: LabPaths,
  record: LabRecord,
  { running, decision }: Survey,
): Promise<LabRecord> {
  await endProcesses(paths.directory, running.leftovers);
  if (decision.kind === "create") {
    await endAll(paths);
    return await create(paths, record, 2);
  }
  if (decision.kind === "start") await startMissingParts(paths, running);
  return await finish(paths, record);
}

async function create(paths: LabPaths, record: LabRecord, attempts: number): Promise<LabRecord> {
  const [apiServer = 0, etcd = 0, etcdPeer = 0, controllerManager = 0, scheduler = 0, kwok = 0] =
    await freePorts(6);
  const ports = { apiServer, etcd, etcdPeer, controllerManager, scheduler, kwok };
  const nodes = record.nodes ?? "simulated";
  try {
    if (nodes === "real") {
      writeEgressSelector(paths);
      await extendServingCertificate(paths);
    }
    await createControlPlane(paths, ports, nodes);
    const { operatorPorts: _stopped, ...rest } = record;
    return await finish(paths, { ...rest, ports, startedFor: nodes });
  } catch (error) {
    // Most likely another program took one of the ports after `freePorts`.
    if (!(error instanceof PartEnded) || attempts < 2) throw error;
    await endAll(paths);
    return await create(paths, record, attempts - 1);
  }
}

/** Lists the processes again: a kwokctl that has just ended may have started parts. */
async function endAll(paths: LabPaths): Promise<void> {
  const { parts, leftovers } = await findRunning(paths);
  await endProcesses(paths.directory, [...parts.values(), ...leftovers]);
}

/** Waits for all parts, then records the start as complete. */
async function finish(paths: LabPaths, record: LabRecord): Promise<LabRecord> {
  const api = record.ports && openApi(paths, record.ports);
  if (!record.ports || !api) throw new Error("the control plane has no ports or certificates");
  try {
    await waitForControlPlane(paths, api, record.ports);
  } finally {
    api.close();
  }
  const hash = kwokConfigHash(paths);
  const complete = hash === undefined ? record : { ...record, kwokConfig: hash };
  writeRecord(paths, complete);
  return complete;
}
