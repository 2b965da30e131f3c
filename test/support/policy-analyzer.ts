/** np-guard's netpol-analyzer: an evaluator of network policies that is not ours. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GoBuild } from "../../lab/tools/tool.ts";
import { run } from "../../lab/run.ts";
import { obtainProgram } from "./go-program.ts";
import type { KubernetesObject, Recording } from "./recorder.ts";

const name = "netpolicy";
const build: GoBuild = {
  version: "1.4.4",
  module: "netpol-analyzer",
  package: "github.com/np-guard/netpol-analyzer/cmd/netpolicy",
  ldflags: [],
  seconds: 75,
};

/** A connection that the policies allow: `namespace/pod`, or addresses, and what is open between them. */
export interface Connection {
  readonly from: string;
  readonly to: string;
  /** `TCP 8002,UDP 53`, or `All Connections`. */
  readonly open: string;
}

/** Whether a connection has a port open. */
export function opens({ open }: Connection, protocol: string, port: number): boolean {
  if (open === "All Connections") return true;
  let current = "";
  return open.split(",").some((part) => {
    const [, named, from, to] = /^(?:([A-Z]+) )?(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    if (from === undefined) throw new Error(`not a list of ports: ${open}`);
    current = named ?? current;
    return current === protocol && port >= Number(from) && port <= Number(to ?? from);
  });
}

/** The program, built first if it is not in the cache: 75 s on two cores with empty caches. */
export function obtainAnalyzer(): Promise<string> {
  return obtainProgram(name, build);
}

/** All connections that policies allow between pods, and with every address. */
export async function allowedConnections(
  analyzer: string,
  given: readonly KubernetesObject[],
): Promise<Connection[]> {
  const folder = mkdtempSync(join(tmpdir(), "swe-rl-policies-"));
  try {
    const objects = given.map((object) => withoutIpv6(withNamespaceLabel(object)));
    for (const [i, object] of objects.entries()) {
      writeFileSync(join(folder, `${i}.json`), JSON.stringify(object));
    }
    const args = ["list", "--dirpath", folder, "--output", "json"];
    const { code, stdout, stderr } = await run(analyzer, args);
    const found = JSON.parse(stdout) as { src: string; dst: string; conn: string }[];
    // It may end with 0 without having read anything, and an empty answer must not pass for a denial.
    if (code !== 0 || /error/i.test(stderr) || found.length === 0) {
      throw new Error(`${name} ended with ${String(code)}, ${found.length} rows: ${stderr}`);
    }
    return found.map(({ src, dst, conn }) => ({ from: plain(src), to: plain(dst), open: conn }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function pod(
  namespace: string,
  podName: string,
  labels: Record<string, string>,
): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: podName, namespace, labels },
    spec: { containers: [{ name: "main", image: "any" }] },
    // Without an address a pod counts as one that does not run.
    status: { podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }], phase: "Running" },
  };
}

interface Template {
  metadata: { labels: Record<string, string> };
}
interface Owner {
  template: Template;
}
interface Groups {
  headGroupSpec: Owner;
  workerGroupSpecs: (Owner & { groupName: string })[];
}

/** A pod for each template that the stack has. */
export function podsOf(recording: Recording): KubernetesObject[] {
  const simple = ["Deployment", "Job", "DaemonSet"].flatMap((kind) =>
    recording
      .objects(kind)
      .map((object) => ({ object, suffix: "", owner: object["spec"] as Owner })),
  );
  const ray = recording.objects("RayCluster").flatMap((object) => {
    const { headGroupSpec, workerGroupSpecs } = object["spec"] as Groups;
    return [
      { object, suffix: "-head", owner: headGroupSpec },
      ...workerGroupSpecs.map((owner) => ({ object, suffix: `-${owner.groupName}`, owner })),
    ];
  });
  return [...simple, ...ray].map(({ object: { metadata }, suffix, owner }) =>
    pod(
      metadata.namespace ?? "",
      `${metadata.name ?? ""}${suffix}`,
      owner.template.metadata.labels,
    ),
  );
}

/** Kubernetes puts it on every namespace. */
function withNamespaceLabel(object: KubernetesObject): KubernetesObject {
  if (object.kind !== "Namespace") return object;
  const { metadata } = object;
  const labels = { ...metadata.labels, "kubernetes.io/metadata.name": metadata.name ?? "" };
  return { ...object, metadata: { ...metadata, labels } };
}

/** The analyzer takes addresses of IPv6 for such of IPv4. */
function withoutIpv6(object: KubernetesObject): KubernetesObject {
  if (object.kind !== "NetworkPolicy") return object;
  const { egress, ...spec } = object["spec"] as { egress?: { to?: AddressBlock[] }[] };
  if (egress === undefined) return object;
  const isIpv4 = ({ ipBlock }: AddressBlock) => !ipBlock?.cidr.includes(":");
  const rules = egress.map(({ to, ...rule }) => (to ? { ...rule, to: to.filter(isIpv4) } : rule));
  return { ...object, spec: { ...spec, egress: rules } };
}

interface AddressBlock {
  ipBlock?: { cidr: string };
}

/** The analyzer shows workloads as `namespace/name[Pod]`. */
function plain(peer: string): string {
  return peer.replace(/\[\w+\]$/, "");
}
