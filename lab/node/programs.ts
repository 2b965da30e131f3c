/** How the parts of the node are started. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../interrupt.ts";
import type { LabPaths } from "../paths.ts";
import { startService } from "../run.ts";
import type { Identity } from "./certificates.ts";
import { configurationFiles, kubeconfigFile } from "./configuration.ts";
import {
  nodeAddress,
  nodeFiles,
  nodeName,
  nodePorts,
  pretended,
  serviceRange,
  sockets,
} from "./layout.ts";
import { startInside } from "./namespaces.ts";
import { gatewayProgram, nodeLog, type NodePart } from "./parts.ts";

/** Arguments of the programs of Kubernetes. */
export function flags(paths: LabPaths): Readonly<Record<Identity, readonly string[]>> {
  const { inside } = nodeFiles(paths);
  const file = (name: string) => `${inside}/configuration/${name}`;
  return {
    kubelet: [
      `--config=${file(configurationFiles.kubelet)}`,
      `--kubeconfig=${file(kubeconfigFile("kubelet"))}`,
      `--root-dir=${inside}/kubelet`,
      `--cert-dir=${inside}/kubelet/pki`,
      `--hostname-override=${nodeName}`,
      `--node-ip=${nodeAddress}`,
      `--node-labels=${Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(",")}`,
    ],
    "kube-proxy": [`--config=${file(configurationFiles.kubeProxy)}`],
    "kube-router": [
      `--kubeconfig=${file(kubeconfigFile("kube-router"))}`,
      `--hostname-override=${nodeName}`,
      "--run-firewall=true",
      "--run-router=false",
      "--run-service-proxy=false",
      "--enable-ipv6=false",
      `--service-cluster-ip-range=${serviceRange}`,
      `--service-node-port-range=${nodePorts}`,
      "--metrics-port=0",
      "--health-port=0",
      "--v=1",
    ],
  };
}

/** Of the pool of the simulated GPU nodes: the stacks of the lab select it. */
const labels = {
  "swe-rl.dev/pool": "gpu",
  "nvidia.com/gpu.product": "NVIDIA-H200",
  "nvidia.com/gpu.memory": "143771",
  "nvidia.com/gpu.count": String(pretended.gpus),
} as const;

/** Starts a part. */
export async function startPart(
  paths: LabPaths,
  part: NodePart,
  { pid, apiPort }: { readonly pid: number; readonly apiPort: number },
): Promise<void> {
  const { inside, sockets: folder } = nodeFiles(paths);
  const log = nodeLog(paths, part);
  const program = join(paths.bin, part);
  const env = {
    PATH: `${paths.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: "/root",
  };
  const gateway = (side: string, folder: string) => [
    gatewayProgram(paths),
    side,
    folder,
    String(apiPort),
  ];
  switch (part) {
    case "namespaces":
      return;
    case "gateway (outside)":
      await untilListens(paths, sockets.toApi, () => {
        startService(join(paths.bin, "node"), gateway("outside", folder), { cwd: "/", env, log });
      });
      return;
    case "gateway (inside)": {
      const command = [join(paths.bin, "node"), ...gateway("inside", `${inside}/sockets`)];
      await untilListens(paths, sockets.toNode, () => startInside(pid, command, { env, log }));
      return;
    }
    case "containerd":
      await startInside(
        pid,
        [program, "--config", `${inside}/configuration/${configurationFiles.containerd}`],
        { env, log },
      );
      return;
    case "kubelet":
    case "kube-proxy":
    case "kube-router": {
      const sizes = {
        SWE_RL_NODE_CPUS: String(pretended.cpus),
        SWE_RL_NODE_MEMORY: String(pretended.memory),
        SWE_RL_NODE_DISK: String(pretended.disk),
      };
      const command = [program, ...flags(paths)[part]];
      await startInside(pid, command, { env: { ...env, ...sizes }, log });
    }
  }
}

/** Starts a side of the gateway and waits until it has made its socket. */
async function untilListens(
  paths: LabPaths,
  name: string,
  start: () => Promise<void> | void,
): Promise<void> {
  const socket = join(nodeFiles(paths).sockets, name);
  rmSync(socket, { force: true });
  await start();
  for (let i = 0; i < 400 && !existsSync(socket); i++) await pause(25);
}
