/** What holes consist of: each part changes something of the stack, the cluster or the node, and takes it back. */
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../../../lab/files.ts";
import { findNode } from "../../../lab/node/bring-up.ts";
import { configurationFiles, texts } from "../../../lab/node/configuration.ts";
import { nodeAddress, nodeFiles } from "../../../lab/node/layout.ts";
import { runInside } from "../../../lab/node/namespaces.ts";
import type { NodePart } from "../../../lab/node/parts.ts";
import { demandLab, kubectl, paths } from "./lab.ts";
import { apply, pod } from "./pods.ts";

export interface Part {
  open(stack: string): unknown;
  close(stack: string): unknown;
}

/** Objects that are there while the hole is open. Its pods are ready then. */
export function present(objects: (stack: string) => readonly object[]): Part {
  const list = (stack: string) => ({ apiVersion: "v1", kind: "List", items: objects(stack) });
  return {
    open(stack) {
      kubectl(["apply", "-f", "-"], list(stack));
      const pods = objects(stack).filter((object) => "kind" in object && object.kind === "Pod");
      if (pods.length === 0) return;
      const items = { apiVersion: "v1", kind: "List", items: pods };
      kubectl(["wait", "--for=condition=Ready", "--timeout=60s", "-f", "-"], items);
    },
    close(stack) {
      kubectl(["delete", "--ignore-not-found", "-f", "-"], list(stack));
    },
  };
}

/** A network policy. Policies add up: one more opens what it allows. */
export function policy(
  metadata: { readonly name: string; readonly namespace: string },
  spec: { readonly podSelector?: object; readonly ingress?: object[]; readonly egress?: object[] },
): object {
  const types = [...(spec.ingress ? ["Ingress"] : []), ...(spec.egress ? ["Egress"] : [])];
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata,
    spec: { podSelector: {}, policyTypes: types, ...spec },
  };
}

/** Policies of a namespace that are gone; all of them, without names. */
export function absent(namespaceOf: (stack: string) => string, ...names: string[]): Part {
  let taken: { metadata: object }[] = [];
  return {
    open(stack) {
      const where = ["networkpolicies", "-n", namespaceOf(stack)];
      const answer = kubectl(["get", ...where, ...names, "-o", "json"]);
      const found = JSON.parse(answer) as (typeof taken)[0] | { items: typeof taken };
      taken = "items" in found ? found.items : [found];
      kubectl(["delete", ...where, ...(names.length > 0 ? names : ["--all"])]);
    },
    close() {
      // One that is gone cannot be made again under the same identity.
      apply(
        ...taken.map(({ metadata, ...rest }) => ({
          ...rest,
          metadata: { ...metadata, uid: undefined, resourceVersion: undefined },
        })),
      );
    },
  };
}

/** Runs a shell command in the node's namespaces. */
export async function inNode(command: string): Promise<string> {
  const { code, stdout, stderr } = await runInside(await pidOf("namespaces"), [
    "sh",
    "-ec",
    command,
  ]);
  if (code !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
}

export async function pidOf(part: NodePart): Promise<number> {
  const found = (await findNode(paths)).parts.get(part);
  if (!found) throw new Error(`${part} does not run`);
  return found.pid;
}

/** An address that the node itself has. Where no program listens, its kernel answers with a reset. */
export function addressOnNode(address: string): Part {
  const command = (verb: string) => `ip address ${verb} ${address} dev lo`;
  const enable = address.includes(":") ? "echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6; " : "";
  return {
    open: () => inNode(enable + command("add")),
    close: () => inNode(command("delete")),
  };
}

/**
 * A pod that answers TCP connections and datagrams, or with the node's network at the node's address: bound to no
 * address it would answer datagrams from the one of the pod's interface.
 */
export function listener(
  name: string,
  ports: { readonly tcp: number; readonly udp: number },
  { hostNetwork = false } = {},
) {
  const made = pod(
    name,
    `
import select, socket
address = "${hostNetwork ? nodeAddress : ""}"
streams = socket.create_server((address, ${ports.tcp}))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind((address, ${ports.udp}))
while True:
    ready, _, _ = select.select([streams, datagrams], [], [])
    if streams in ready:
        streams.accept()[0].close()
    if datagrams in ready:
        datagrams.sendto(b"here", datagrams.recvfrom(512)[1])
`,
  );
  return { ...made, spec: { ...made.spec, hostNetwork } };
}

/** Of the network plugin that gives pods more than the cluster knows of. */
const plugin = "swe-rl-hole";

/**
 * Runs its script for each new pod when the pod has its interface: \`$HOST\` is the node's end of it, \`$POD\` the path of
 * the pod's network namespace, \`$A\` and \`$B\` are the last two numbers of its address.
 */
const pluginProgram = `#!/usr/bin/env python3
import json, os, subprocess, sys

given = json.load(sys.stdin)
if os.environ["CNI_COMMAND"] == "ADD":
    result = given["prevResult"]
    a, b = result["ips"][0]["address"].split("/")[0].split(".")[2:]
    own = {"HOST": result["interfaces"][0]["name"], "POD": os.environ["CNI_NETNS"], "A": a, "B": b}
    command = ["sh", "-ec", given["script"]]
    subprocess.run(command, env={**os.environ, **own}, stdout=sys.stderr, check=True)
    print(json.dumps(result))
`;

/** What new pods get beside their address. */
export function podNetwork(script: string): Part {
  const file = join(nodeFiles(paths).configuration, configurationFiles.network);
  const program = join(paths.bin, plugin);
  const original = () => texts(paths)[configurationFiles.network] ?? "";
  return {
    open() {
      writeWhole(program, pluginProgram);
      chmodSync(program, 0o755);
      const network = JSON.parse(readFileSync(file, "utf8")) as { plugins: object[] };
      network.plugins.push({ type: plugin, script });
      writeWhole(file, JSON.stringify(network));
    },
    close() {
      writeWhole(file, original());
      rmSync(program, { force: true });
    },
  };
}

/** The network plugin no longer runs. Its rules stay, or are taken away as on a node that never had one. */
export function withoutPlugin(rules: "stay" | "go"): Part {
  const save = "iptables-save | grep -v -e KUBE-ROUTER -e KUBE-POD-FW -e KUBE-NWPLCY";
  return {
    async open() {
      process.kill(await pidOf("kube-router"), "SIGKILL");
      if (rules === "go") await inNode(`${save} | iptables-restore`);
    },
    close: () => void demandLab("up"),
  };
}
