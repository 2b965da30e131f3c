/** `up --node real`: pods run, packets flow or are refused, and nothing of it outlives `down`. */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeFiles } from "../../lab/node/layout.ts";
import { nodeParts } from "../../lab/node/parts.ts";
import { demandLab, kubectl, killLabAt, lab, labAsNobody, paths } from "./support/lab.ts";
import {
  kernelSettings,
  labProcesses,
  namespacesOf,
  processesOf,
  traces,
} from "./support/machine.ts";
import {
  apply,
  claim,
  connect,
  denial,
  inClient,
  phaseOf,
  pods,
  service,
  until,
  waitForPods,
} from "./support/pods.ts";

const before = { settings: kernelSettings() };

/** Of the process with this end of its command line. */
function pidOf(program: string): number {
  const found = [...labProcesses()].find(([, command]) => command.includes(`/bin/${program} `));
  if (!found) throw new Error(`${program} does not run`);
  return found[0];
}

/** Processes that `status` names so. */
function statusPids(program: string): number[] {
  const lines = lab("status").stdout.split("\n");
  return lines.flatMap((line) => {
    const pid = new RegExp(`^ *${program} .*process (\\d+) `).exec(line)?.[1];
    return pid === undefined ? [] : [Number(pid)];
  });
}

/** Namespaces that only the lab's processes have. */
function ownNamespaces(): Set<string> {
  const mine = namespacesOf([process.pid]);
  return new Set([...namespacesOf(labProcesses().keys())].filter((name) => !mine.has(name)));
}

beforeAll(async () => {
  demandLab("down");
  // What a killed start leaves is repaired.
  await killLabAt("real node: starting", "up", "--node", "real");
  demandLab("up");
  apply(claim, pods.server, pods.client, service);
  waitForPods("server", "client");
});

afterAll(() => {
  demandLab("down");
});

describe("a real node", () => {
  it("is the only node and says that it has what a training node has", () => {
    const nodes = JSON.parse(kubectl(["get", "nodes", "-o", "json"])) as {
      items: { metadata: { name: string }; status: { allocatable: Record<string, string> } }[];
    };
    expect(nodes.items.map(({ metadata }) => metadata.name)).toEqual(["real-0"]);
    expect(nodes.items[0]?.status.allocatable).toMatchObject({
      "nvidia.com/gpu": "8",
      cpu: "192",
    });
  });

  it("has every process in status", () => {
    const { stdout, status } = lab("status");
    expect(status).toBe(0);
    for (const part of nodeParts) expect(stdout).toContain(part);
    for (const [pid, command] of labProcesses()) {
      expect(stdout, command).toMatch(new RegExp(`process ${pid} since`));
    }
    expect(stdout).toMatch(/pods +\d+ processes/);
  });

  it("has no stack brought up on it, whose pods would wait for their images", () => {
    const { status, stderr } = lab("start");
    expect(status).toBe(1);
    expect(stderr).toContain("npm run lab -- up --node simulated");
  });

  it("runs pods and answers exec and logs", () => {
    expect(inClient("print(6 * 7)")).toBe("42");
    expect(kubectl(["logs", "client"])).toBe("runs\n");
  });

  it("keeps volumes in the folder of the lab", () => {
    inClient("open('/data/checkpoint', 'w').write('step 1')");
    const { volumes } = nodeFiles(paths);
    const found = readdirSync(volumes, { recursive: true, encoding: "utf8" });
    expect(found.filter((path) => path.endsWith("/checkpoint"))).toHaveLength(1);
  });

  it("mounts images as volumes", () => {
    expect(inClient("import os; print(os.listdir('/image'))")).toBe("['program']");
  });

  it("resolves names of services and no others", () => {
    const resolved = () => connect("server.default.svc.cluster.local", 80);
    expect(until(/^\d+$/, resolved)).toMatch(/^\d+$/);
    expect(connect("example.com", 80)).toMatch(/^gaierror/);
  });

  it("reaches no other network", () => {
    expect(connect("203.0.113.10", 80)).toBe("OSError 101");
  });

  it("lets pods reach the API server with their account", () => {
    expect(askApi()).toBe("200");
  });

  it("enforces network policies", () => {
    const counted = Number(connect("server", 80));
    expect(counted).toBeGreaterThan(0);
    apply(denial);
    const refused = /^(TimeoutError|ConnectionRefusedError)/;
    expect(until(refused, () => connect("server", 80))).toMatch(refused);
    const last = Number(kubectl(["exec", "server", "--", "python3", "-c", ownCount]));
    expect(connect("server", 80)).toMatch(refused);
    expect(Number(kubectl(["exec", "server", "--", "python3", "-c", ownCount]))).toBe(last + 1);
    kubectl(["delete", "networkpolicy", "deny"]);
    expect(until(/^\d+$/, () => connect("server", 80))).toMatch(/^\d+$/);
  });

  it("restarts a killed part and keeps its pods", () => {
    const shims = statusPids("containerd-shim-runc-v2");
    expect(shims).toHaveLength(3);
    process.kill(pidOf("kubelet"), "SIGKILL");
    expect(lab("status").status).toBe(4);
    expect(demandLab("up")).toContain("kubelet started");
    expect(lab("status").status).toBe(0);
    expect(statusPids("containerd-shim-runc-v2")).toEqual(shims);
    expect(phaseOf("client")).toBe("Running");
  });

  it("comes again, with its pods, after its first process and the store were killed", () => {
    process.kill(pidOf("catatonit"), "SIGKILL");
    process.kill(pidOf("etcd"), "SIGKILL");
    expect(demandLab("up")).toContain("real node started");
    expect(until(/^\d+$/, () => connect("server", 80), 60)).toMatch(/^\d+$/);
    expect(askApi()).toBe("200");
  });

  it("leaves nothing after its parts and the command that repairs them were killed", async () => {
    const namespaces = ownNamespaces();
    for (const part of ["containerd", "kube-router", "kubelet"]) {
      process.kill(pidOf(part), "SIGKILL");
    }
    await killLabAt("real node: starting", "up");
    for (const name of ownNamespaces()) namespaces.add(name);
    demandLab("down");
    expect({
      traces: traces(),
      processes: processesOf(namespaces),
      settings: kernelSettings(),
    }).toEqual({ traces: [], processes: [], settings: before.settings });
  });
});

/** Calls the API server from a pod, as its programs do. Returns the status. */
function askApi(): string {
  return inClient(`
import ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount"
request = urllib.request.Request(
    "https://kubernetes.default.svc/api",
    headers={"Authorization": "Bearer " + open(folder + "/token").read()})
context = ssl.create_default_context(cafile=folder + "/ca.crt")
print(urllib.request.urlopen(request, context=context).status)
`);
}

/** Asks the server of its own pod: the node's and the pod's own packets pass. */
const ownCount = `
import socket
print(socket.create_connection(("127.0.0.1", 8080)).recv(100).decode())
`;

describe("a machine that cannot have one", () => {
  it("says why in one sentence, before anything is built", () => {
    const { status, stdout, stderr } = labAsNobody("up", "--node", "real");
    expect({ status, stdout, lines: stderr.trim().split("\n").length }).toEqual({
      status: 1,
      stdout: "",
      lines: 1,
    });
    expect(stderr).toMatch(
      /^A real node is not possible here: it needs root, and this is user 65534/,
    );
  });
});
