/** Brings up etcd, API server, controllers, scheduler and KWOK by kwokctl's binary runtime. */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lastLines, writeWhole } from "../files.ts";
import { clusterName, type LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { interruption } from "../interrupt.ts";
import type { Ports } from "../record.ts";
import { run } from "../run.ts";
import { kubernetesVersion } from "../tools/catalogue.ts";
import { PartEnded } from "./health.ts";
import { findRunning, kwokParts, type Running } from "./parts.ts";

const certificates = ["ca.crt", "ca.key", "admin.crt", "admin.key"];

/**
 * Makes the control plane anew around the data that is there, if any: kwokctl's own files are worth nothing, and
 * those of a killed or damaged start cannot be trusted.
 */
export async function createControlPlane(paths: LabPaths, ports: Ports): Promise<void> {
  rmSync(paths.kwok, { recursive: true, force: true });
  const etcd = join(paths.data, "etcd");
  const pki = join(paths.data, "pki");
  mkdirSync(etcd, { recursive: true, mode: 0o700 });
  mkdirSync(paths.cluster, { recursive: true });
  mkdirSync(paths.logs, { recursive: true });
  // kwokctl removes its directory when a start fails; the link goes, the data stays.
  symlinkSync(etcd, join(paths.cluster, "etcd"));
  if (hasCertificates(pki)) cpSync(pki, join(paths.cluster, "pki"), { recursive: true });
  const config = join(paths.kwok, "config.json");
  writeWhole(config, JSON.stringify(configuration(paths, ports), undefined, 2));
  await kwokctl(paths, ["--config", config, "create", "cluster", "--kubeconfig", ""]);
  if (!hasCertificates(pki)) {
    const draft = `${pki}.draft`;
    rmSync(draft, { recursive: true, force: true });
    rmSync(pki, { recursive: true, force: true });
    cpSync(join(paths.cluster, "pki"), draft, { recursive: true });
    renameSync(draft, pki);
  }
}

/** Starts the parts that do not run, beside those that do. */
export async function startMissingParts(paths: LabPaths, running: Running): Promise<void> {
  const pids = join(paths.cluster, "pids");
  rmSync(pids, { recursive: true, force: true });
  for (const part of kwokParts) {
    const pid = running.parts.get(part)?.pid;
    if (pid !== undefined) writeWhole(join(pids, `${part}.pid`), String(pid));
  }
  mkdirSync(pids, { recursive: true });
  await kwokctl(paths, ["start", "cluster"]);
}

function hasCertificates(pki: string): boolean {
  return certificates.every(
    (name) => (statSync(join(pki, name), { throwIfNoEntry: false })?.size ?? 0) > 0,
  );
}

/** What kwokctl is told. Everything listens on the loopback address: etcd asks nobody for a password. */
export function configuration(paths: LabPaths, ports: Ports): object {
  const tool = (name: string) => join(paths.bin, name);
  return {
    apiVersion: "config.kwok.x-k8s.io/v1alpha1",
    kind: "KwokctlConfiguration",
    options: {
      runtime: "binary",
      bindAddress: "127.0.0.1",
      kubeVersion: `v${kubernetesVersion}`,
      // The stacks use MutatingAdmissionPolicy, and sandboxes image volumes; 1.34 serves neither by itself.
      kubeFeatureGates: "MutatingAdmissionPolicy=true,ImageVolume=true",
      kubeRuntimeConfig: "admissionregistration.k8s.io/v1beta1=true",
      etcdBinary: tool("etcd"),
      kubeApiserverBinary: tool("kube-apiserver"),
      kubeControllerManagerBinary: tool("kube-controller-manager"),
      kubeSchedulerBinary: tool("kube-scheduler"),
      kwokControllerBinary: tool("kwok"),
      kubectlBinary: tool("kubectl"),
      etcdPort: ports.etcd,
      etcdPeerPort: ports.etcdPeer,
      kubeApiserverPort: ports.apiServer,
      kubeControllerManagerPort: ports.controllerManager,
      kubeSchedulerPort: ports.scheduler,
      kwokControllerPort: ports.kwok,
    },
    componentsPatches: [
      {
        name: "kube-apiserver",
        // It may not advertise the loopback address, and looks for another one: a machine without any network has
        // none. Nobody calls this one, which is reserved for documentation.
        extraArgs: [{ key: "advertise-address", value: "192.0.2.1" }],
      },
      {
        name: "kube-controller-manager",
        // A claim that asks for a volume by name is often bound only at the next round, by default 15 seconds later.
        extraArgs: [{ key: "pvclaimbinder-sync-period", value: "1s" }],
      },
    ],
  };
}

/** Runs kwokctl, and ends it as soon as a part that it started is gone: by itself it would wait for minutes. */
async function kwokctl(paths: LabPaths, args: readonly string[]): Promise<void> {
  const log = join(paths.logs, "kwokctl.log");
  const trouble = new AbortController();
  const finished = new AbortController();
  const watching = watchParts(paths, finished.signal).then((ended) => {
    if (ended) trouble.abort(ended);
  });
  try {
    const { code } = await run(join(paths.bin, "kwokctl"), [...args, "--name", clusterName], {
      cwd: paths.directory,
      env: kwokEnvironment(paths),
      log,
      signal: trouble.signal,
    });
    if (code !== 0) {
      throw new LabError(
        `kwokctl could not start the control plane. The end of its log, ${log}:\n${lastLines(log, 8)}`,
      );
    }
  } finally {
    finished.abort();
    await watching;
  }
}

async function watchParts(paths: LabPaths, finished: AbortSignal): Promise<PartEnded | undefined> {
  const seen = new Set<(typeof kwokParts)[number]>();
  while (!finished.aborted && !interruption.aborted) {
    const { parts } = await findRunning(paths);
    const ended = kwokParts.find((part) => seen.has(part) && !parts.has(part));
    if (ended) return new PartEnded(paths, ended);
    for (const part of kwokParts) if (parts.has(part)) seen.add(part);
    await sleep(200);
  }
  return undefined;
}

/** kwokctl reads settings from environment and home directory, and finds kubectl on the PATH: all of it the lab's. */
function kwokEnvironment(paths: LabPaths): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("KWOK_"));
  return {
    ...Object.fromEntries(inherited),
    PATH: `${paths.bin}:${process.env["PATH"] ?? ""}`,
    KUBECONFIG: paths.kubeconfig,
    HOME: paths.directory,
  };
}

/** Whether kwokctl's configuration is there. */
export function hasControlPlane(paths: LabPaths): boolean {
  return existsSync(join(paths.cluster, "kwok.yaml"));
}
