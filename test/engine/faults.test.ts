import { readFileSync } from "node:fs";
import { type AddressInfo, connect as dial, createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from "vitest";
import { parse } from "yaml";
import { Project } from "./support/project.ts";
import { labelledObjects, readState } from "./support/state.ts";

const stack = "single-node";
/** For what would wait for the namespaces of the first. */
const other = "two-node";

/** What a report must hold of a fault: how its finding begins, and part of its remedy. */
type Expected = readonly [finding: string, remedy: string];

interface Definition {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

/**
 * Faults made on the lab for real, several at once where they do not hide each other: preview finds them all, says
 * what to do, and makes nothing.
 */
describe("pulumi preview", () => {
  let project: Project;
  let site: string;
  const undo: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    project = new Project();
    site = readFileSync(`${project.root}/config/sites/lab.yaml`, "utf8");
    for (const name of [stack, other]) {
      expect((await project.pulumi("stack", "init", name)).output).toContain("Created stack");
    }
    await make(
      ...refusal("fault-kubelet", {
        resourceRules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["UPDATE"],
            resources: ["nodes/status"],
            resourceNames: ["unready"],
          },
        ],
      }),
      node("no-gpu", { "nvidia.com/gpu": undefined }),
      node("half-taken"),
      node("cordoned", {}, { unschedulable: true }),
      node("small", { memory: "512Gi" }),
      pod("half", "half-taken", 4),
    );
    await project.kubectl("wait", "--for=condition=Ready", "pod/half", "--timeout=30s");
  });
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
    project.write("config/sites/lab.yaml", site);
    project.useKubeconfig();
  });
  afterAll(async () => {
    try {
      for (const name of [stack, other]) {
        const registered = await readState(project, name);
        expect(registered.filter(({ type }) => type !== "pulumi:pulumi:Stack")).toEqual([]);
      }
    } finally {
      await project.kubectl("delete", "pod", "half", "--force", "--grace-period=0");
      await project.kubectl("delete", "node", "-l", "fault");
      await remove(...refusal("fault-kubelet", {}));
      const namespaces = [stack, other].flatMap((name) => [`${name}-train`, `${name}-sandbox`]);
      const gone = ["--for=delete", "--timeout=60s"];
      await project.kubectl("wait", ...gone, ...namespaces.map((name) => `namespace/${name}`));
      expect(await labelledObjects(project, stack)).toEqual([]);
      for (const name of [stack, other]) await project.pulumi("stack", "rm", "--yes", name);
      project.dispose();
    }
  });

  async function make(...items: Definition[]): Promise<void> {
    project.write("objects.json", JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    const file = `${project.root}/objects.json`;
    const { status, output } = await project.kubectl("apply", "--server-side", "-f", file);
    expect([status, output]).toEqual([0, expect.not.stringContaining("rror")]);
  }

  async function remove(...items: Definition[]): Promise<void> {
    const file = `${project.root}/remove.json`;
    project.write("remove.json", JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    await project.kubectl("delete", "-f", file, "--ignore-not-found", "--wait=false");
  }

  /** Makes objects that end with the test. */
  async function temporarily(...items: Definition[]): Promise<void> {
    undo.push(() => remove(...items));
    await make(...items);
  }

  function onSite(...changes: [before: string, after: string][]): void {
    for (const change of changes) project.replace("config/sites/lab.yaml", change);
  }

  const refuses = (...expected: Expected[]) => refusesStack(stack, ...expected);

  async function refusesStack(name: string, ...expected: Expected[]): Promise<string> {
    const { status, output } = await project.pulumi("preview", "-s", name);
    expect(status).not.toBe(0);
    expect(output).toContain("nothing was created");
    expect(output).not.toMatch(/\n\s+at .*\(?(file|node):/);
    for (const [finding, remedy] of expected) {
      const line = output.split("\n").find((text) => text.includes(finding)) ?? output;
      expect(line).toContain(finding);
      expect(line).toContain("To do: ");
      expect(line).toContain(remedy);
    }
    return output;
  }

  const gpuNodes = (fault: string): [string, string] => [
    "gpu_nodes:\n  selector: { swe-rl.dev/pool: gpu }",
    `gpu_nodes:\n  selector: { fault: ${fault} }`,
  ];

  it("finds a node without GPUs, no place for the head and the sandboxes, no storage class", async () => {
    onSite(
      gpuNodes("no-gpu"),
      ["selector: { swe-rl.dev/pool: cpu }", "selector: { pool: none }"],
      ["selector: { swe-rl.dev/pool: sandbox }", "selector: { pool: none }"],
      [
        "logs: { kind: claim, storage_class: swe-rl-lab }",
        "logs: { kind: claim, storage_class: none }",
      ],
    );
    await refuses(
      ["gpu-nodes: 0 of ", "kubectl describe node"],
      ["cpu-node-room: none of them has capacity for the Ray head (", "cpu_nodes.selector"],
      ["sandbox-room: capacity for 0 on 0 nodes", "sandbox_nodes.selector"],
      ["storage-class: only swe-rl-lab", "under storage"],
    );
  });

  it("finds GPUs half taken", async () => {
    onSite(gpuNodes("half-taken"));
    await refuses([
      "gpu-free: single-node needs 1 node with 8 free GPUs",
      "wait until they are free",
    ]);
  });

  it("finds a cordoned node, a Released volume and one that is bound elsewhere", async () => {
    await temporarily(
      volume("fault-released", { namespace: "default", name: "gone", uid: "0-0-0" }),
      volume("fault-bound", { namespace: "default", name: "other" }),
    );
    onSite(
      gpuNodes("cordoned"),
      [
        "checkpoints: { kind: claim, storage_class: swe-rl-lab }",
        "checkpoints: { kind: existing, volume: fault-released }",
      ],
      [
        "trials: { kind: claim, storage_class: swe-rl-lab }",
        "trials: { kind: existing, volume: fault-bound }",
      ],
    );
    await project.kubectl(
      "wait",
      "--for=jsonpath={.status.phase}=Released",
      "pv/fault-released",
      "--timeout=30s",
    );
    await refuses(
      [
        "gpu-free: single-node needs 1 node with 8 free GPUs; of 1 GPU nodes (8 GPUs) 0 are free: cordoned is cordoned",
        "add GPU nodes",
      ],
      ["storage-volume: fault-released is Released", "kubectl patch pv fault-released"],
      ["storage-volume: fault-bound is kept for claim default/other", "name another volume"],
    );
  });

  it("finds a node with too little memory, and one that is not ready", async () => {
    onSite(gpuNodes("small"));
    await refuses([
      "gpu-node-room: 0 of 1 nodes fit; small has 192 CPUs and 512Gi free",
      "gpu_nodes.memory",
    ]);
    project.write("config/sites/lab.yaml", site);
    // KWOK would make it ready, were its reports not refused.
    await make(node("unready"));
    onSite(gpuNodes("unready"));
    const output = await refuses(["gpu-nodes: 0 of ", "readiness"]);
    expect(output).toContain("nodes-fit: unready is not ready");
  });

  it("finds a quota, a limit, a policy, an object and a claim in its namespaces that are in its way", async () => {
    await temporarily(
      namespace("train"),
      namespace("sandbox"),
      inNamespace(["v1", "ResourceQuota", `${stack}-train`, "team"], {
        spec: { hard: { "requests.nvidia.com/gpu": "4" } },
      }),
      inNamespace(["v1", "LimitRange", `${stack}-sandbox`, "team"], {
        spec: { limits: [{ type: "Container", max: { memory: "4Gi" } }] },
      }),
      inNamespace(["networking.k8s.io/v1", "NetworkPolicy", `${stack}-sandbox`, "open"], {
        spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{}] },
      }),
      inNamespace(["v1", "ServiceAccount", `${stack}-train`, "trainer"]),
      inNamespace(["v1", "PersistentVolumeClaim", `${stack}-train`, "logs"], {
        spec: {
          storageClassName: "other",
          accessModes: ["ReadWriteMany"],
          resources: { requests: { storage: "1Gi" } },
        },
      }),
    );
    const output = await refuses(
      [
        "quota: quota team in single-node-train allows 4 requests.nvidia.com/gpu",
        "kubectl patch quota team -n single-node-train",
      ],
      [
        "limit-range: limit range team in single-node-sandbox",
        "kubectl edit limitrange team -n single-node-sandbox",
      ],
      [
        "policies-ours: network policy open in single-node-sandbox lets more out",
        "kubectl delete networkpolicy open -n single-node-sandbox",
      ],
      [
        "objects-ours: persistentvolumeclaims single-node-train/logs, serviceaccounts single-node-train/trainer belong",
        "kubectl delete",
      ],
      ["storage-claim: claim logs has storage class other, not swe-rl-lab", "kubectl get pvc"],
    );
    expect(output).toContain("untrusted code in the sandboxes could send to wherever it allows");
  });

  it("finds a namespace of somebody else, and one that is on its way out", async () => {
    const train = `${other}-train`;
    await temporarily(
      { apiVersion: "v1", kind: "Namespace", metadata: { name: `${other}-sandbox` } },
      namespace("train", other),
      inNamespace(["v1", "ConfigMap", train, "stays"], {}, { finalizers: ["swe-rl.dev/fault"] }),
    );
    undo.push(() =>
      project.kubectl(
        ...["patch", "configmap", "stays", "-n", train, "--type=merge"],
        ...["-p", '{"metadata":{"finalizers":null}}'],
      ),
    );
    await project.kubectl("delete", "namespace", train, "--wait=false");
    await refusesStack(
      other,
      [`namespaces-ours: namespace ${other}-sandbox belongs to another owner`, "pulumi stack init"],
      [
        `namespaces-ours: namespace ${train} is still being deleted`,
        `kubectl get namespace ${train} --watch`,
      ],
    );
  });

  it("finds a network that enforces nothing, an old operator, an old RayCluster and admission that refuses", async () => {
    await temporarily(
      workload("DaemonSet", "kube-flannel-ds", "docker.io/flannel/flannel:v0.26.1"),
      workload("Deployment", "kuberay-operator", "quay.io/kuberay/operator:v1.4.0"),
      ...refusal("fault-team", {
        resourceRules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["CREATE"],
            resources: ["namespaces"],
          },
        ],
      }),
    );
    const served = (value: boolean) =>
      project.kubectl(
        "patch",
        "crd",
        "rayclusters.ray.io",
        "--type=json",
        "-p",
        JSON.stringify([{ op: "replace", path: "/spec/versions/0/served", value }]),
      );
    undo.push(() => served(true));
    expect((await served(false)).output).toContain("patched");
    await project.kubectl("rollout", "status", "deployment/kuberay-operator", "--timeout=30s");
    await refuses(
      [
        "network-enforced: flannel (default/kube-flannel-ds) carries the network",
        "kube-network-policies",
      ],
      [
        "kuberay-operator: default/kuberay-operator (quay.io/kuberay/operator:v1.4.0)",
        "helm upgrade",
      ],
      ["kuberay-installed: only v1alpha1", "helm install kuberay-operator"],
      [
        "admission: namespace single-node-train would be refused: ",
        "kubectl get validatingwebhookconfigurations",
      ],
    );
  });

  it("finds an account that may do too little", async () => {
    await temporarily(inNamespace(["v1", "ServiceAccount", "default", "weak"]), {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: "fault-weak" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
      subjects: [{ kind: "ServiceAccount", name: "weak", namespace: "default" }],
    });
    const { stdout: token } = await project.kubectl("create", "token", "weak", "-n", "default");
    useKubeconfig(labServer(), { token: token.trim() });
    const output = await refuses(["rights: the account may not ", "kubectl auth can-i "]);
    // What it may not read is unknown, and never fine.
    expect(output).toMatch(
      /checks: not known: this user may not read it \(403\) \(.*\bgpu-nodes\b/,
    );
  });

  it("finds an API server that is down", async () => {
    useKubeconfig(`https://127.0.0.1:${await closedPort()}`);
    const output = await refuses(["cluster-reachable: ", "$KUBECONFIG"]);
    expect(output).toContain("ECONNREFUSED");
  });

  it("finds an API server that is too slow, and waits for one that is only slow", async () => {
    const { port, delay } = await slowServer();
    useKubeconfig(`https://127.0.0.1:${port}`);
    delay(50);
    onSite(gpuNodes("no-gpu"));
    const slow = await refuses(["gpu-nodes: 0 of ", "kubectl describe node"]);
    expect(slow).not.toContain("no answer within");
    delay(60_000);
    await refuses(["cluster-reachable: no answer within 10 s", "the VPN"]);
  });

  /** The lab's own kubeconfig, with another server or user. */
  function useKubeconfig(server: string, user?: object): void {
    const own = labKubeconfig();
    const [cluster] = own.clusters;
    const changed = {
      ...own,
      clusters: [{ ...cluster, cluster: { ...cluster?.cluster, server } }],
      users: own.users.map((one) => ({ ...one, user: user ?? one.user })),
    };
    project.useKubeconfig(JSON.stringify(changed));
  }

  /** A port of this machine on which nobody listens. */
  async function closedPort(): Promise<number> {
    const holder = createServer();
    const port = await listen(holder);
    holder.close();
    return port;
  }

  /** Passes everything on to the API server, each part of a request only after a while. */
  async function slowServer(): Promise<{ port: number; delay: (milliseconds: number) => void }> {
    let milliseconds = 0;
    const { hostname, port } = new URL(labServer());
    const open = new Set<{ destroy(): void }>();
    const slow = createServer((near) => {
      const far = dial(Number(port), hostname);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        open.add(one);
        one.on("error", () => other.destroy()).on("close", () => other.destroy());
      }
      far.on("data", (part) => near.write(part));
      near.on("data", (part) => {
        setTimeout(() => far.writable && far.write(part), milliseconds).unref();
      });
    });
    undo.push(() => {
      for (const one of open) one.destroy();
      return new Promise((resolve) => slow.close(resolve));
    });
    return { port: await listen(slow), delay: (wanted) => (milliseconds = wanted) };
  }
});

function listen(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
  readonly users: readonly { readonly user: object }[];
}

function labKubeconfig(): Kubeconfig {
  return parse(readFileSync(inject("lab")["KUBECONFIG"] ?? "", "utf8")) as Kubeconfig;
}

function labServer(): string {
  return labKubeconfig().clusters[0]?.cluster.server ?? "";
}

/** A simulated GPU node that only the fault's own site selects. */
function node(
  name: string,
  change: Record<string, string | undefined> = {},
  spec: object = {},
): Definition {
  const capacity = {
    cpu: "192",
    memory: "2Ti",
    pods: "110",
    "ephemeral-storage": "4Ti",
    "nvidia.com/gpu": "8",
    ...change,
  };
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name,
      annotations: { "kwok.x-k8s.io/node": "fake" },
      labels: { type: "kwok", fault: name, "nvidia.com/gpu.product": "NVIDIA-H200" },
    },
    spec,
    status: { capacity, allocatable: capacity },
  };
}

function pod(name: string, where: string, gpus: number): Definition {
  const resources = { limits: { "nvidia.com/gpu": String(gpus) } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: {
      nodeSelector: { fault: where },
      containers: [{ name: "notebook", image: "swe-rl.invalid/none:1", resources }],
    },
  };
}

function volume(name: string, claimRef: object): Definition {
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name },
    spec: {
      storageClassName: "",
      capacity: { storage: "5Ti" },
      accessModes: ["ReadWriteMany"],
      persistentVolumeReclaimPolicy: "Retain",
      hostPath: { path: `/swe-rl-lab/${name}` },
      claimRef: { apiVersion: "v1", kind: "PersistentVolumeClaim", ...claimRef },
    },
  };
}

/** One of a stack's own namespaces, as an earlier life may have left it. */
function namespace(namespaceRole: string, of = stack): Definition {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: `${of}-${namespaceRole}`, labels: { "swe-rl.dev/stack": of } },
  };
}

type Place = readonly [apiVersion: string, kind: string, namespace: string, name: string];

function inNamespace(
  [apiVersion, kind, place, name]: Place,
  content: object = {},
  metadata: object = {},
): Definition {
  return { apiVersion, kind, metadata: { ...metadata, name, namespace: place }, ...content };
}

/** A policy by which admission refuses what it matches. */
function refusal(name: string, matchConstraints: object): [Definition, Definition] {
  const apiVersion = "admissionregistration.k8s.io/v1";
  const spec = { matchConstraints, validations: [{ expression: "false", message: "not here" }] };
  return [
    { apiVersion, kind: "ValidatingAdmissionPolicy", metadata: { name }, spec },
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name, validationActions: ["Deny"] },
    },
  ];
}

/** A DaemonSet or Deployment with one pod of an image. */
function workload(kind: "DaemonSet" | "Deployment", name: string, image: string): Definition {
  const own = { "app.kubernetes.io/name": name };
  return {
    apiVersion: "apps/v1",
    kind,
    metadata: { name, namespace: "default", labels: own },
    spec: {
      selector: { matchLabels: own },
      template: { metadata: { labels: own }, spec: { containers: [{ name: "main", image }] } },
    },
  };
}
