/** Names, addresses, sizes and files of the real node. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { LabPaths } from "../paths.ts";

export const nodeName = "real-0";

/** Addresses reserved for documentation (RFC 5737): they exist only inside the node's network namespace. */
export const nodeAddress = "198.51.100.1";
/** What the API server says that its address is. Inside the namespace the gateway listens there. */
export const apiAddress = "192.0.2.1";

/** 1021 pods. */
export const podRange = "10.244.0.0/22";
/** The API server's default. */
export const serviceRange = "10.0.0.0/24";
export const apiService = "10.0.0.1";
export const dnsService = "10.0.0.10";
/** Above the ports of the lab: kube-router admits every pod to the node's own ports in this range. */
export const nodePorts = "32001-32767";

const gibibyte = 2 ** 30;

/** What the node says that it has, as much as a simulated GPU node. Pods share what the machine has. */
export const pretended = {
  cpus: 192,
  memory: 2048 * gibibyte,
  disk: 16 * 1024 * gibibyte,
  pods: 300,
  gpus: 8,
} as const;

export interface NodeFiles {
  /** Name that no other lab uses: of the cgroup, and of the host in the namespace. */
  readonly id: string;
  /** What the machine sees as `directory`, the namespace sees here as well: socket paths are short. */
  readonly inside: string;
  readonly directory: string;
  readonly pki: string;
  readonly sockets: string;
  readonly configuration: string;
  /** Contents of the volumes of the stacks. */
  readonly volumes: string;
  readonly egress: string;
}

export function nodeFiles(paths: LabPaths): NodeFiles {
  const directory = join(paths.directory, "node");
  const hash = createHash("sha256").update(paths.directory).digest("hex").slice(0, 12);
  return {
    id: `swe-rl-${hash}`,
    inside: "/run/swe-rl",
    directory,
    pki: join(directory, "pki"),
    sockets: join(directory, "sockets"),
    configuration: join(directory, "configuration"),
    volumes: join(directory, "volumes"),
    egress: join(directory, "egress.yaml"),
  };
}

/** Sockets of the gateway, in the folder of sockets. */
export const sockets = { toApi: "api", toNode: "node" } as const;

export const containerdSocket = "/run/containerd/containerd.sock";

/** The top-level domain says that no registry has them (RFC 2606). */
export const imageNames = {
  pause: "swe-rl.invalid/pause:lab",
  coredns: "swe-rl.invalid/coredns:lab",
  python: "swe-rl.invalid/python:lab",
} as const;
