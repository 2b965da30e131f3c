/** Brings up etcd, API server, controllers, scheduler and KWOK by kwokctl's binary runtime. */
import { cpSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lastLines, writeWhole } from "../files.ts";
import { clusterName, type LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { interruption } from "../interrupt.ts";
import { apiNames } from "../node/certificates.ts";
import { apiAddress, nodeFiles, nodePorts, serviceRange } from "../node/layout.ts";
import type { NodeKind, Ports } from "../record.ts";
import { run } from "../run.ts";
import { kubernetesVersion } from "../tools/catalogue.ts";
import { PartEnded } from "./health.ts";
import { findRunning, kwokParts, type Running } from "./parts.ts";

const certificates = ["ca.crt", "ca.key", "admin.crt", "admin.key"];

/**
 * Creates the control plane around existing data, if any. Discards kwokctl's own files: after a killed start they may
 * be damaged.
 */
export async function createControlPlane(
  paths: LabPaths,
  ports: Ports,
  nodes: NodeKind,
): Promise<void> {
  rmSync(paths.kwok, { recursive: true, force: true });
  const etcd = join(paths.data, "etcd");
  const pki = join(paths.data, "pki");
  mkdirSync(etcd, { recursive: true, mode: 0o700 });
  mkdirSync(paths.cluster, { recursive: true });
  mkdirSync(paths.logs, { recursive: true });
  // When a start fails, kwokctl removes its directory; with a link there, the data stays.
  symlinkSync(etcd, join(paths.cluster, "etcd"));
  if (hasCertificates(pki)) cpSync(pki, join(paths.cluster, "pki"), { recursive: true });
  const config = join(paths.kwok, "config.json");
  writeWhole(config, JSON.stringify(configuration(paths, ports, nodes), undefined, 2));
  await kwokctl(paths, ["--config", config, "create", "cluster", "--kubeconfig", ""]);
  if (!hasCertificates(pki)) {
    const draft = `${pki}.draft`;
    rmSync(draft, { recursive: true, force: true });
    rmSync(pki, { recursive: true, force: true });
    cpSync(join(paths.cluster, "pki"), draft, { recursive: true });
    renameSync(draft, pki);
  }
}

/** Starts the missing parts and keeps the running ones. */
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

/** kwokctl's configuration. All parts listen on the loopback address: etcd has no authentication. */
export function configuration(paths: LabPaths, ports: Ports, nodes: NodeKind): object {
  const tool = (name: string) => join(paths.bin, name);
  return {
    apiVersion: "config.kwok.x-k8s.io/v1alpha1",
    kind: "KwokctlConfiguration",
    options: {
      runtime: "binary",
      bindAddress: "127.0.0.1",
      kubeVersion: `v${kubernetesVersion}`,
      // Stacks use MutatingAdmissionPolicy and image volumes, which Kubernetes 1.34 disables by default.
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
      // Of a new certificate; the address of an old one comes from `extendServingCertificate`.
      kubeApiserverCertSANs: apiNames,
    },
    componentsPatches: [
      {
        name: "kube-apiserver",
        // The API server rejects the loopback address here and needs another one, even on a machine without a
        // network. This one is reserved for documentation and receives no requests.
        extraArgs: [
          { key: "advertise-address", value: apiAddress },
          ...(nodes === "real" ? forRealNode(paths) : []),
        ],
      },
      {
        name: "kube-controller-manager",
        extraArgs: [
          // The binder often binds a claim with a volume name only in its next round, by default 15 seconds later.
          { key: "pvclaimbinder-sync-period", value: "1s" },
          // As kubeadm and the clouds have it: admission rules tell controllers from administrators.
          { key: "use-service-account-credentials", value: "true" },
          alone,
        ],
      },
      { name: "kube-scheduler", extraArgs: [alone] },
      ...(nodes === "real"
        ? [
            {
              name: "kwok-controller",
              extraArgs: [
                { key: "manage-all-nodes", value: "false" },
                { key: "manage-nodes-with-annotation-selector", value: simulatedNodes },
              ],
            },
          ]
        : []),
    ],
  };
}

/** There is one of each; on a machine that is busy it would lose its lease, and end. */
const alone = { key: "leader-elect", value: "false" };

const simulatedNodes = "kwok.x-k8s.io/node=fake";

/** Arguments with which the API server reaches kubelet and pods. */
function forRealNode(paths: LabPaths): { readonly key: string; readonly value: string }[] {
  const pki = join(paths.cluster, "pki");
  return [
    { key: "egress-selector-config-file", value: nodeFiles(paths).egress },
    { key: "kubelet-preferred-address-types", value: "InternalIP" },
    { key: "kubelet-client-certificate", value: join(pki, "admin.crt") },
    { key: "kubelet-client-key", value: join(pki, "admin.key") },
    { key: "service-cluster-ip-range", value: serviceRange },
    { key: "service-node-port-range", value: nodePorts },
  ];
}

/** Runs kwokctl, and ends it as soon as a started part ends: kwokctl would wait for that part for minutes. */
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

/** kwokctl reads settings from the environment and HOME, and kubectl from the PATH; all of them are the lab's. */
function kwokEnvironment(paths: LabPaths): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("KWOK_"));
  return {
    ...Object.fromEntries(inherited),
    PATH: `${paths.bin}:${process.env["PATH"] ?? ""}`,
    KUBECONFIG: paths.kubeconfig,
    HOME: paths.directory,
  };
}
