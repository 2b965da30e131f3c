import { describe, expect, it } from "vitest";
import { recipeDigests } from "../../../config/load/recipe-files.ts";
import { plan as decide } from "../../../plan/plan.ts";
import { type ClusterRuleId, ruleById } from "../../../rules/index.ts";
import type { KubernetesSite as Site } from "../../../config/schema/site.ts";
import type { Features } from "../../../preflight/facts/apis.ts";
import type { Facts, NodeFact } from "../../../preflight/facts/facts.ts";
import type { StorageClassFact, VolumeFact } from "../../../preflight/facts/storage.ts";
import { isFatal, settle } from "../../../preflight/evaluate.ts";
import { describe as describeFinding } from "../../../preflight/report.ts";
import { judgeCluster } from "../../../rules/judge.ts";

import { factsWith, imagesOfNodes, known, nodeFact, podFact } from "../../support/facts.ts";
import { karpenterSite } from "../../support/karpenter.ts";
import { settingsWith } from "../../support/settings.ts";

/** What a profile or a tier demands has tests of its own. */
type Id = Exclude<ClusterRuleId, "runtime-class" | "sandbox-gpu-nodes">;

interface Given extends Partial<Facts> {
  readonly site?: Partial<Site>;
}

interface Case {
  /** What breaks this rule and no other. */
  readonly breaks: Given;
  /** How the finding begins. */
  readonly found: string;
  /** What just meets it. */
  readonly meets: Given;
  /** Where one case is not what the catalogue says. */
  readonly severity?: "warn" | "unknown";
}

const lab = settingsWith("").settings.site as Site;
const trials = decide(settingsWith("").settings).sandboxes.parallelTrials;
const GiB = 2 ** 30;

function nodes(change: Partial<Record<"gpu" | "cpu" | "sandbox", Partial<NodeFact>>>) {
  const all = factsWith().nodes;
  if (!all.known) throw new Error("no nodes");
  const [gpu, cpu, sandbox] = all.value;
  return {
    nodes: known([
      { ...gpu!, ...change.gpu },
      { ...cpu!, ...change.cpu },
      { ...sandbox!, ...change.sandbox },
    ]),
  };
}
const everywhere = (change: Partial<NodeFact>) =>
  nodes({ gpu: change, cpu: change, sandbox: change });
const lostImage = "swe-rl.invalid/training:lab";
/** On every node of a cluster: that of the entry gate, the proof and its listeners. */
const gateImage = "docker.io/library/python:3.13.5-slim-bookworm";
const withoutTraining = imagesOfNodes.cpu.filter((image) => image !== lostImage);
const repository = "registry.example.com/team/swe-rl";
/** A site whose stacks build the training image. */
const { training: _given, ...otherImages } = lab.images;
const anyBuild = `${repository}/training@sha256:${"ab".repeat(32)}`;
const building = {
  ...nodes({ gpu: { images: [anyBuild] }, cpu: { images: [anyBuild, ...withoutTraining] } }),
  site: { images: { ...otherImages, build: { repository, variant: "cuda", args: {} } } },
} satisfies Given;
const gpuNode = nodeFact("gpu-0", "gpu", { images: imagesOfNodes.gpu });
const withCpus = (cpu: string): Partial<NodeFact> => ({
  allocatable: { cpu, memory: "512Gi", pods: "110", "ephemeral-storage": "16Ti" },
  images: imagesOfNodes.cpu,
});
const sandboxNode = nodeFact("sandbox-0", "sandbox", { images: imagesOfNodes.sandbox });
function features(change: Partial<Features>) {
  const usual = factsWith().features;
  if (!usual.known) throw new Error("no features");
  return { features: known({ ...usual.value, ...change }) };
}
const namespace = (stack: string, terminating = false) => ({
  namespaces: known([{ name: "run-train", labels: { "swe-rl.dev/stack": stack }, terminating }]),
});
const operator = (change: object) => ({
  operator: known({
    namespace: "kuberay-system",
    name: "kuberay-operator",
    image: "quay.io/kuberay/operator:v1.6.0",
    version: "1.6.0",
    ready: 1,
    ...change,
  }),
});
const storageClass = (change: Partial<StorageClassFact>) => ({
  storageClasses: known([
    {
      name: "swe-rl-lab",
      provisioner: "csi.example.com",
      reclaimPolicy: "Retain",
      bindingMode: "Immediate",
      isDefault: false,
      ...change,
    },
  ]),
});
const volume = (change: Partial<VolumeFact> = {}): VolumeFact => ({
  name: "shared",
  storageClass: "",
  phase: "Available",
  accessModes: ["ReadWriteMany"],
  bytes: 5 * 2 ** 40,
  claim: undefined,
  bound: false,
  stack: undefined,
  place: undefined,
  runDirectory: undefined,
  readOnly: undefined,
  ...change,
});
const labVolumes = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    volume({ name: `lab-${i}`, storageClass: "swe-rl-lab", bytes: 10 * 2 ** 40 }),
  );
const onExisting: Pick<Given, "site"> = {
  site: {
    storage: {
      ...lab.storage,
      checkpoints: { kind: "existing", volume: "shared", access_mode: "ReadWriteMany" },
    },
  },
};
const onNfs: Pick<Given, "site"> = {
  site: {
    storage: {
      ...lab.storage,
      logs: { kind: "nfs", server: "nas", path: "/runs" },
    },
  },
};
const claim = (bytes: number, terminating = false) => ({
  claims: known([
    {
      name: "logs",
      storageClass: "swe-rl-lab",
      phase: "Bound",
      accessModes: ["ReadWriteMany"],
      bytes,
      volume: "lab-9",
      stack: "run",
      terminating,
    },
  ]),
});
const quota = (hard: Record<string, number>, change: object = {}) => ({
  bounds: known({
    quotas: [
      { namespace: "run-train", name: "team", stack: undefined, scoped: false, hard, ...change },
    ],
    limitRanges: [],
  }),
});
const limit = (memory: number) => ({
  bounds: known({
    quotas: [],
    limitRanges: [
      {
        namespace: "run-sandbox",
        name: "team",
        stack: undefined,
        limits: [{ type: "Container", max: { memory } }],
      },
    ],
  }),
});
const policy = (change: object) => ({
  policies: known([
    {
      namespaceRole: "sandbox" as const,
      name: "open",
      stack: undefined,
      allowsEgress: false,
      allowsIngress: false,
      ...change,
    },
  ]),
});
const agent = (product: string, enforces: boolean | undefined) => ({
  networkAgents: known([{ daemonSet: "kube-system/x", product, enforces }]),
});
const karpenter = (limits: Record<string, string | number>): Given => {
  const { gpu_nodes, sandbox_nodes } = karpenterSite();
  const { pool } = gpu_nodes;
  if (pool.kind !== "karpenter") throw new Error("no pool");
  return {
    site: { sandbox_nodes, gpu_nodes: { ...gpu_nodes, pool: { ...pool, limits } } },
    nodePoolVersions: known(["v1"]),
  };
};

const cases: Readonly<Record<Id, Case>> = {
  "cluster-reachable": {
    breaks: { server: { known: false, reason: "no answer within 10 s" } },
    found: "no answer within 10 s",
    meets: { server: known("v1.30.0") },
  },
  "cluster-identity": {
    breaks: { identity: known("uid-of-another") },
    found: "context kwok-swe-rl is cluster uid-of-another",
    meets: { identity: known("uid-of-this-cluster") },
  },
  "kuberay-installed": {
    breaks: { rayClusterVersions: known(["v1alpha1"]) },
    found: "only v1alpha1",
    meets: { rayClusterVersions: known(["v1"]) },
  },
  "run-state": {
    breaks: { run: known({ state: "failed", step: 3, why: "out of memory" }) },
    found: "has failed after step 3: out of memory",
    meets: { run: known({ state: "training", step: 3, why: undefined }) },
  },
  "image-volumes": {
    breaks: nodes({ sandbox: { runtime: "containerd://2.1.9" } }),
    found: "sandbox-0 (containerd://2.1.9) cannot mount a part of an image",
    meets: nodes({ sandbox: { runtime: "cri-o://1.33.0" } }),
  },
  "api-server-port": {
    breaks: { apiServerPorts: known([6443, 16443]) },
    found: "is 443, 6443, and it answers on 16443",
    meets: {
      apiServerPorts: known([16443]),
      site: { network: { ...lab.network, api_server_ports: [16443] } },
    },
  },
  "gpu-nodes": {
    breaks: nodes({ gpu: { allocatable: { ...gpuNode.allocatable, "nvidia.com/gpu": "7" } } }),
    found: "0 of 3 nodes fit (1 have the labels)",
    meets: nodes({ gpu: { allocatable: { ...gpuNode.allocatable, "nvidia.com/gpu": "8" } } }),
  },
  "gpu-node-claim": {
    breaks: { site: { gpu_nodes: { ...lab.gpu_nodes, claim: ["gpu-9"] } } },
    found: "there is no node gpu-9",
    meets: { site: { gpu_nodes: { ...lab.gpu_nodes, claim: ["gpu-0"] } } },
  },
  "gpu-free": {
    breaks: {
      pods: known([
        podFact({
          node: "gpu-0",
          requests: { cpus: 0, memoryBytes: 0, ephemeralBytes: 0, gpus: 1 },
        }),
      ]),
    },
    found: "run needs 1 node with 8 free GPUs",
    meets: { pods: known([podFact({ node: "gpu-0" })]) },
  },
  "karpenter-installed": {
    breaks: { ...karpenter({ "nvidia.com/gpu": 8 }), nodePoolVersions: known(["v1beta1"]) },
    found: "nodepools.karpenter.sh serves only v1beta1",
    meets: karpenter({ "nvidia.com/gpu": 8 }),
  },
  "namespaces-ours": {
    breaks: namespace("other"),
    found: "namespace run-train belongs to another owner",
    meets: namespace("run"),
  },
  "storage-class": {
    breaks: storageClass({ name: "gp3", isDefault: true }),
    found: "only gp3",
    meets: storageClass({}),
  },
  "kubernetes-version": {
    breaks: { server: known("v1.29.15") },
    found: "v1.29.15",
    meets: { server: known("v1.30.0-eks-1234") },
  },
  "nodes-ready": {
    // Where no node is ready, none fits either.
    breaks: {},
    found: "0 of 3 nodes are ready",
    meets: nodes({}),
  },
  "nodes-fit": {
    breaks: nodes({ sandbox: { pressures: ["DiskPressure"] } }),
    found: "sandbox-0 reports DiskPressure",
    meets: nodes({ sandbox: { pressures: [] } }),
  },
  "kuberay-operator": {
    breaks: operator({ version: "1.5.9" }),
    found: "kuberay-system/kuberay-operator",
    meets: operator({ version: "1.6.0" }),
  },
  "gpu-products": {
    breaks: {
      nodes: known([...mixed("NVIDIA-H100-80GB-HBM3")]),
    },
    found: "NVIDIA-H200 (gpu-0), NVIDIA-H100-80GB-HBM3 (gpu-1)",
    meets: {
      nodes: known([...mixed("NVIDIA-H200")]),
    },
  },
  "gpu-node-memory": {
    // The site says 140Gi, of which 95 % are 136192 MiB.
    breaks: nodes({ gpu: gpusOf("136191") }),
    found: "gpu-0 has 132Gi; the site says 140Gi",
    meets: nodes({ gpu: gpusOf("136192") }),
  },
  "gpu-node-room": {
    breaks: nodes({ gpu: { allocatable: { ...gpuNode.allocatable, memory: "1399Gi" } } }),
    found: "0 of 1 nodes fit; gpu-0 has 192 CPUs and 1399Gi free",
    meets: nodes({ gpu: { allocatable: { ...gpuNode.allocatable, memory: "1400Gi" } } }),
  },
  "pods-packed": {
    // Every pod fits beside what is busy, and the sum does, but not all of them on what each node has left.
    breaks: {
      nodes: known([
        gpuNode,
        nodeFact("cpu-0", "cpu", withCpus("8")),
        nodeFact("cpu-1", "cpu", withCpus("3500m")),
        nodeFact("cpu-2", "cpu", withCpus("3500m")),
        sandboxNode,
      ]),
    },
    found: "each of the ",
    meets: nodes({}),
  },
  "cpu-node-room": {
    breaks: { pods: known([busy("cpu-0", { cpus: 63.5 })]) },
    found: "none of them has capacity for the Ray head",
    meets: { pods: known([busy("cpu-0", { cpus: 40 })]) },
  },
  "sandbox-room": {
    breaks: nodes({ sandbox: { allocatable: { ...sandboxNode.allocatable, pods: "0" } } }),
    found: "capacity for 0 on 1 nodes; too little pods per node",
    meets: nodes({
      sandbox: { allocatable: { ...sandboxNode.allocatable, pods: String(trials) } },
    }),
  },
  "node-pool-limits": {
    breaks: karpenter({ "nvidia.com/gpu": 8, cpu: 95 }),
    found: "pool run-gpu may have 95 CPUs and any amount of memory",
    meets: karpenter({ "nvidia.com/gpu": 8, cpu: 96, memory: "1400Gi" }),
  },
  rights: {
    breaks: {
      missingRights: known([
        { verb: "create", group: "ray.io", resource: "rayclusters", namespace: "run-train" },
        { verb: "patch", group: "ray.io", resource: "rayclusters", namespace: "run-train" },
      ]),
    },
    found: "the account may not create, patch rayclusters.ray.io in run-train",
    meets: { missingRights: known([]) },
  },
  "objects-ours": {
    breaks: { namesakes: known(["jobs run-train/trainer"]) },
    found: "jobs run-train/trainer belongs to another owner",
    meets: { namesakes: known([]) },
  },
  admission: {
    breaks: {
      admission: known({
        refused: [{ what: "namespace run-train", message: "name a team" }],
        accepted: [],
        untried: [],
        watchers: [],
      }),
    },
    found: "namespace run-train would be refused: name a team",
    meets: {
      admission: known({
        refused: [],
        accepted: ["Ray's pods in run-train"],
        untried: [],
        watchers: ["webhook kyverno"],
      }),
    },
  },
  quota: {
    breaks: quota({ "requests.nvidia.com/gpu": 7 }),
    found: "quota team in run-train allows 7 requests.nvidia.com/gpu",
    meets: quota({ "requests.nvidia.com/gpu": 8 }),
  },
  "limit-range": {
    breaks: limit(31 * GiB),
    found: "limit range team in run-sandbox allows a Container at most",
    meets: limit(32 * GiB),
  },
  "storage-reclaim": {
    breaks: storageClass({ reclaimPolicy: "Delete" }),
    found: "swe-rl-lab has reclaim policy Delete",
    meets: storageClass({ reclaimPolicy: "Retain" }),
  },
  "storage-volume": {
    breaks: {
      ...onExisting,
      volumes: known([
        ...labVolumes(2),
        volume({ phase: "Released", claim: "run-train/checkpoints" }),
      ]),
    },
    found: "shared is Released",
    meets: {
      ...onExisting,
      volumes: known([
        ...labVolumes(2),
        volume({ phase: "Bound", claim: "run-train/checkpoints" }),
      ]),
    },
  },
  "storage-claim": {
    breaks: claim(2 * 2 ** 50),
    found: "claim logs has",
    meets: claim(2 ** 30),
  },
  "gpu-shared": {
    breaks: nodes({
      gpu: { labels: { ...gpuNode.labels, "nvidia.com/gpu.sharing-strategy": "time-slicing" } },
    }),
    found: "GPUs are shared on gpu-0 (time-slicing)",
    meets: nodes({
      gpu: { labels: { ...gpuNode.labels, "nvidia.com/gpu.sharing-strategy": "none" } },
    }),
  },
  "storage-going": {
    breaks: claim(2 ** 30, true),
    found: "claim logs (volume lab-9) is being deleted",
    meets: claim(2 ** 30),
  },
  "storage-supply": {
    breaks: { volumes: known(labVolumes(2)) },
    found: "no volume of class swe-rl-lab is free for claim checkpoints",
    meets: { volumes: known(labVolumes(3)) },
  },
  "C-34": {
    breaks: { ...onExisting, volumes: known([...labVolumes(2), volume({ bytes: 49e9 })]) },
    found: "a volume of 45Gi",
    meets: { ...onExisting, volumes: known([...labVolumes(2), volume({ bytes: 50e9 })]) },
  },
  "network-enforced": {
    breaks: agent("flannel", false),
    found: "flannel (kube-system/x) carries the network",
    meets: {
      networkAgents: known([
        { daemonSet: "kube-flannel/kube-flannel-ds", product: "flannel", enforces: false },
        { daemonSet: "kube-system/enforcer", product: "kube-network-policies", enforces: true },
      ]),
    },
  },
  "policies-ours": {
    breaks: policy({ allowsEgress: true }),
    found: "network policy open in run-sandbox lets more out",
    meets: policy({}),
  },
  "policies-known": {
    breaks: { otherPolicies: known(["ciliumnetworkpolicies.cilium.io run-sandbox/open"]) },
    found: "not known: what ciliumnetworkpolicies.cilium.io run-sandbox/open open is not evaluated",
    meets: { otherPolicies: known([]) },
    severity: "unknown",
  },
  "images-there": {
    breaks: {
      ...nodes({
        cpu: { images: withoutTraining },
      }),
      pods: known([podFact({ failedPulls: [{ image: lostImage, reason: "ErrImagePull, 401" }] })]),
    },
    found: `a node could not pull ${lostImage}: ErrImagePull, 401`,
    meets: nodes({}),
  },
  "image-builder": {
    breaks: { ...building, builder: known({ absent: "nothing listens at tcp://b:1" }) },
    found: "nothing listens at tcp://b:1",
    meets: { ...building, builder: known({ version: "28.5.2" }) },
  },
  "egress-proof": {
    breaks: nodes({ sandbox: { simulated: true } }),
    found: "simulated nodes, on which no program runs",
    meets: nodes({ sandbox: { simulated: false } }),
  },
  "gpu-unrequested": {
    breaks: { pods: known([podFact({ node: "gpu-0", namespace: "notebooks", seesGpus: "lab" })]) },
    found: "container lab of a pod in notebooks on gpu-0",
    meets: { pods: known([podFact({ node: "cpu-0", namespace: "notebooks", seesGpus: "lab" })]) },
  },
  "pod-ipv4": {
    breaks: everywhere({ podRanges: ["fd00:10:244::/64"] }),
    found: "only IPv6, such as fd00:10:244::/64",
    meets: {
      ...everywhere({ podRanges: ["fd00:10:244::/64"] }),
      pods: known([podFact({ node: "cpu-0", addresses: ["fd00::7", "10.0.0.7"] })]),
    },
  },
  "C-35": {
    breaks: {
      ...claim(10),
      volumes: known([
        ...labVolumes(3),
        volume({ name: "lab-9", phase: "Bound", readOnly: "nfs.readOnly is true" }),
      ]),
    },
    found: "logs is on volume lab-9: nfs.readOnly is true",
    meets: {
      ...claim(10),
      volumes: known([...labVolumes(3), volume({ name: "lab-9", phase: "Bound" })]),
    },
  },
  "run-directory": {
    breaks: {
      ...onNfs,
      volumes: known([
        ...labVolumes(3),
        volume({
          name: "b-logs",
          stack: "b",
          place: "nfs nas:/runs",
          runDirectory: "swe-lego-live-rl/run",
        }),
      ]),
    },
    found: "stack b has swe-lego-live-rl/run on nfs nas:/runs, too, for its logs",
    meets: {
      ...onNfs,
      volumes: known([
        ...labVolumes(3),
        ...["nas:/others", "nas:/runs"].map((share, i) =>
          volume({
            name: `b-${i}`,
            stack: i === 0 ? "b" : "run",
            place: `nfs ${share}`,
            runDirectory: "swe-lego-live-rl/run",
          }),
        ),
        volume({ name: "c-0", stack: "c", place: "nfs nas:/runs", runDirectory: "x/run" }),
      ]),
    },
  },
  "mutating-admission": {
    breaks: features({ mutatingAdmissionPolicy: ["v1alpha1"] }),
    found: "v1beta1 is wanted; it serves only v1alpha1",
    meets: features({ mutatingAdmissionPolicy: ["v1", "v1beta1"] }),
  },
};

/** The usual nodes, and one more with GPUs of a product. */
function mixed(product: string): NodeFact[] {
  const { nodes: usual } = nodes({});
  const labels = { ...gpuNode.labels, "nvidia.com/gpu.product": product };
  return [...(usual.known ? usual.value : []), nodeFact("gpu-1", "gpu", { labels })];
}

/** GPUs with so many MiB, as the GPU feature discovery writes it. */
function gpusOf(memory: string) {
  return { labels: { ...gpuNode.labels, "nvidia.com/gpu.memory": memory } };
}

function busy(node: string, { cpus }: { cpus: number }) {
  return podFact({ node, requests: { cpus, memoryBytes: 0, ephemeralBytes: 0, gpus: 0 } });
}

function judge({ site, ...facts }: Given, yaml = "", preview = false) {
  const { settings } = settingsWith(yaml);
  const isolation = { ...lab.isolation, require_proof: true };
  const changed = {
    ...settings,
    site: { ...lab, isolation, ...site },
    recipeDigests: recipeDigests(),
  };
  const plan = decide(changed);
  const recorded = { identity: "uid-of-this-cluster", name: "blue" };
  const subject = { settings: changed, plan, facts: factsWith(facts), preview, recorded };
  return judgeCluster(subject).filter(({ severity }) => severity !== "ok");
}

const all = Object.entries(cases) as [Id, Case][];

describe("the rule about the cluster", () => {
  it.each(all.filter(([id]) => id !== "nodes-ready"))(
    "%s is broken alone, and says what to do",
    (id, { breaks, found, severity }) => {
      const broken = judge(breaks);
      expect([...new Set(broken.map((finding) => finding.id))]).toEqual([id]);
      for (const finding of broken) {
        expect(finding.severity).toBe(severity ?? ruleById[id].severity);
        expect(finding.found).toContain(found);
        const { expected, consequence, remedy } = finding;
        // What is not known has no consequence, and is found out by hand.
        for (const part of severity === "unknown" ? [expected] : [expected, consequence, remedy]) {
          expect(part.length).toBeGreaterThan(5);
          expect(describeFinding(finding)).toContain(part);
        }
      }
    },
  );

  it.each(all)("%s is just met", (_id, { meets }) => {
    expect(judge(meets).map(({ id, found }) => `${id}: ${found}`)).toEqual([]);
  });

  it("nodes-ready is broken where no node is ready", () => {
    const none = { ready: false };
    const broken = judge(nodes({ gpu: none, cpu: none, sandbox: none }));
    expect(broken.map(({ id }) => id)).toContain("nodes-ready");
  });
});

describe("images of the nodes", () => {
  const without = (image: string) => imagesOfNodes.sandbox.filter((one) => one !== image);
  const unseen = (given: Given, yaml = "") =>
    judge(given, yaml).map(({ id, severity, found }) => `${id} ${severity}: ${found}`);
  const onlyNode = "and only a node can tell whether it can pull";

  it("count only where the pods run: another node's gate helps no sandbox", () => {
    expect(unseen(nodes({ sandbox: { images: without(gateImage) } }))).toEqual([
      `images-there unknown: not known: no sandbox node shows ${gateImage} yet, ${onlyNode} it`,
    ]);
    expect(unseen(nodes({ cpu: { images: [...withoutTraining] } }))).toEqual([
      `images-there unknown: not known: no cpu node shows ${lostImage} yet, ${onlyNode} it`,
    ]);
  });

  it("are pulled by hand on a node of the kind that lacks them", () => {
    const [finding] = judge(nodes({ sandbox: { images: without(gateImage) } }));
    expect(finding?.remedy).toContain(
      `--image=${gateImage} --overrides='{"spec":{"nodeSelector":{"swe-rl.dev/pool":"sandbox"},"tolerations":[{"key":"swe-rl.dev/sandbox"`,
    );
  });

  it("are the sandboxes', too: a gate that cannot be pulled is named with the node's reason", () => {
    const pods = known([podFact({ failedPulls: [{ image: gateImage, reason: "ErrImagePull" }] })]);
    expect(unseen({ ...nodes({ sandbox: { images: without(gateImage) } }), pods })).toEqual([
      `images-there warn: a node could not pull ${gateImage}: ErrImagePull`,
    ]);
  });

  it("are counted where they are many, one line for each kind of nodes", () => {
    const names = Array.from({ length: 7 }, (_, i) => `swe-rl.invalid/tasks/t${i}:1`);
    const prepull = `sandbox: { prepull: { enabled: true, images: ${JSON.stringify(names)} } }`;
    expect(unseen({}, prepull)).toEqual([
      `images-there unknown: not known: no sandbox node shows registry.k8s.io/pause:3.10, ${names.slice(0, 4).join(", ")} and 3 more yet, ${onlyNode} them`,
    ]);
  });

  it("may be there on a node that lists no more", () => {
    const others = Array.from({ length: 50 }, (_, i) => `task@sha256:${i}`);
    expect(unseen(nodes({ sandbox: { images: others } }))[0]).toContain(
      "among the 50 largest that it lists yet",
    );
  });

  it("are known by digest, beside which a node leaves out the tag", () => {
    const digest = `@sha256:${"cd".repeat(32)}`;
    const site = { images: { ...lab.images, gate: `python:3.13${digest}` } };
    const pinned = `docker.io/library/python${digest}`;
    const there = nodes({
      cpu: { images: [...imagesOfNodes.cpu, pinned] },
      sandbox: { images: [...imagesOfNodes.sandbox, pinned] },
    });
    expect(unseen({ ...there, site })).toEqual([]);
    expect(unseen({ site })).toHaveLength(2);
  });

  it("count anywhere while there is no node for the pods", () => {
    const gone = nodes({ sandbox: { labels: {}, images: [] } });
    const found = judge(gone).filter(({ id }) => id === "images-there");
    expect(found.map((one) => one.found)).toEqual([
      `not known: no sandbox node shows docker.io/jierun/c-cc-2.1.118:v0.1 yet, ${onlyNode} it`,
    ]);
  });

  it("are pulled by no simulated node", () => {
    const found = unseen(nodes({ gpu: { images: [], simulated: true } }));
    expect(found.filter((one) => one.startsWith("images-there"))).toEqual([
      "images-there unknown: not known: simulated nodes pull nothing",
    ]);
  });
});

describe("images that the stack builds", () => {
  const ofNodes = (...images: string[]) => ({
    ...building,
    ...nodes({ gpu: { images }, cpu: { images: [...images, ...withoutTraining] } }),
  });

  it("are not there before it has built them, which no node can be asked about", () => {
    const found = judge(ofNodes());
    expect(found.map(({ id, severity }) => `${id} ${severity}`)).toEqual(["images-there unknown"]);
    expect(found[0]?.found).toMatch(
      /this stack builds registry.example.com\/team\/swe-rl\/training:cuda-[0-9a-f]{16} first/,
    );
    expect(found[0]?.remedy).toContain("registryCredentials");
  });

  it("are as good as there where a node has an earlier build, and not where it has another image", () => {
    expect(judge(building)).toEqual([]);
    const other = judge(ofNodes(`${repository}/training-old@sha256:1`));
    expect(other.map(({ id }) => id)).toEqual(["images-there"]);
  });

  it("cannot be pulled where a node has tried in vain", () => {
    const image = `${repository}/training@sha256:1`;
    const pods = known([podFact({ failedPulls: [{ image, reason: "ErrImagePull, 401" }] })]);
    const [finding] = judge({ ...ofNodes(), pods });
    expect(finding).toMatchObject({
      severity: "warn",
      found: `a node could not pull ${image}: ErrImagePull, 401`,
    });
  });

  it("can be previewed without a daemon, which an update cannot do without", () => {
    const without = { ...building, builder: known({ absent: "nothing listens" }) };
    expect(judge(without, "", true)).toMatchObject([{ id: "image-builder", severity: "warn" }]);
    expect(judge(without)).toMatchObject([{ id: "image-builder", severity: "fatal" }]);
  });

  it("leave it unknown whether a daemon that cannot be asked is there", () => {
    const builder = { known: false, reason: "DOCKER_HOST is ssh://x" } as const;
    expect(judge({ ...building, builder })).toMatchObject([
      { id: "image-builder", severity: "unknown" },
    ]);
  });
});

describe("the sandbox profile", () => {
  const profile = (name: string) => `sandbox: { profile: ${name} }`;

  it.each([
    ["gvisor", { runtimeClasses: known(["kata"]) }, "only kata"],
    ["kata", { runtimeClasses: known([]) }, "only none"],
    ["user_namespaces", features({ userNamespaces: false }), "Kubernetes 1.34, which has"],
  ])("%s needs what the cluster lacks", (name, facts, found) => {
    expect(judge(facts, profile(name))).toMatchObject([
      { id: "runtime-class", severity: "fatal", found: expect.stringContaining(found) as string },
    ]);
  });

  it.each([
    ["gvisor", { runtimeClasses: known(["gvisor"]) }],
    ["kata", { runtimeClasses: known(["kata"]) }],
    ["user_namespaces", features({ userNamespaces: true })],
    ["standard", { runtimeClasses: known([]) }],
  ])("%s is just met", (name, facts) => {
    expect(judge(facts, profile(name))).toEqual([]);
  });

  it("nobody completes pods where the site says none, and the report says what to bring", () => {
    const cluster = { ...lab.cluster, mutating_admission: "none" as const };
    expect(judge({ site: { cluster } })).toMatchObject([
      {
        id: "mutating-admission",
        severity: "fatal",
        remedy: expect.stringContaining("entry gate") as string,
      },
    ]);
  });
});

describe("capacity", () => {
  it("is what others leave; the stack's own pods do not count", () => {
    const own = { ...busy("cpu-0", { cpus: 63.5 }), stack: "run" };
    expect(judge({ pods: known([own]) })).toEqual([]);
  });

  it("for some sandboxes only is a warning, and names what is scarce", () => {
    const allocatable = { ...sandboxNode.allocatable, memory: "512Gi" };
    expect(judge(nodes({ sandbox: { allocatable } }))).toMatchObject([
      {
        id: "sandbox-room",
        severity: "warn",
        found: "capacity for 64 on 1 nodes; too little memory",
      },
    ]);
  });

  it("counts neither cordoned nor unready nodes", () => {
    for (const change of [{ schedulable: false }, { ready: false }]) {
      expect(judge(nodes({ sandbox: change })).map(({ id }) => id)).toContain("sandbox-room");
    }
  });
});

describe("the memory of GPUs", () => {
  const { [`nvidia.com/gpu.memory`]: _memory, ...unlabelled } = gpuNode.labels;

  it.each([
    ["without its label", unlabelled],
    ["with a label that is no number", gpusOf("unknown").labels],
  ])("is unknown %s", (_what, labels) => {
    expect(judge(nodes({ gpu: { labels } }))).toMatchObject([
      {
        id: "gpu-node-memory",
        severity: "unknown",
        found: "not known: node gpu-0 has no label nvidia.com/gpu.memory",
      },
    ]);
  });

  it("is too small on one node, whatever the others do not tell", () => {
    const { nodes: usual } = nodes({ gpu: { labels: unlabelled } });
    const small = nodeFact("gpu-1", "gpu", gpusOf("81559"));
    const more = { nodes: known([...(usual.known ? usual.value : []), small]) };
    expect(judge(more)).toMatchObject([
      { id: "gpu-node-memory", severity: "fatal", found: "gpu-1 has 79Gi; the site says 140Gi" },
    ]);
  });

  it("is not asked for where the site does not say it: gpu-memory has it unknown", () => {
    const { gpu_memory: _size, ...gpu_nodes } = lab.gpu_nodes;
    expect(judge({ ...nodes({ gpu: gpusOf("81559") }), site: { gpu_nodes } })).toEqual([]);
  });

  it("is not asked of nodes that Karpenter makes, nor of nodes that are not claimed", () => {
    const small = nodes({ gpu: gpusOf("81559") });
    const ids = (given: Given) => judge(given).map(({ id }) => id);
    expect(ids({ ...karpenter({ "nvidia.com/gpu": 8 }), ...small })).not.toContain(
      "gpu-node-memory",
    );
    const others = known([
      ...(small.nodes.known ? small.nodes.value : []),
      nodeFact("gpu-1", "gpu"),
    ]);
    const site = { gpu_nodes: { ...lab.gpu_nodes, claim: ["gpu-1"] } };
    expect(ids({ nodes: others, site })).not.toContain("gpu-node-memory");
  });
});

describe("the network", () => {
  it.each([
    ["nobody who is known", { networkAgents: known([]) }],
    ["kindnet, of which it depends on the version", agent("kindnet", undefined)],
  ])("is unknown with %s", (_what, given) => {
    expect(judge(given)).toMatchObject([{ id: "network-enforced", severity: "unknown" }]);
  });

  it("is late where that was measured, and the report says so", () => {
    const { settings } = settingsWith("");
    const plan = decide(settings);
    const networkAgents = known([
      { daemonSet: "a/b", product: "kube-router", enforces: true, late: "0.2 to 1.2 s measured" },
    ]);
    const findings = judgeCluster({ settings, plan, facts: factsWith({ networkAgents }) });
    expect(findings.find(({ id }) => id === "network-enforced")).toMatchObject({
      severity: "ok",
      found: "kube-router (a/b); a new pod is unfiltered for 0.2 to 1.2 s measured",
    });
  });
});

describe("a network that enforces nothing", () => {
  it("is refused unless the experiment waives the rule, with a reason", () => {
    const findings = judge(agent("flannel", false));
    expect(findings.some(isFatal)).toBe(true);
    const waived = settingsWith(
      "preflight: { waive: [{ rule: network-enforced, reason: an air-gapped test cluster }] }",
    );
    const settled = settle(findings, waived);
    expect(settled.some(isFatal)).toBe(false);
    expect(settled.map(describeFinding).join()).toContain("waived: an air-gapped test cluster");
  });
});

describe("admission", () => {
  it("is unknown where somebody looks at pods and none could be tried", () => {
    const admission = known({
      refused: [],
      accepted: ["namespace run-train"],
      untried: ["Ray's pods in run-train"],
      watchers: ["webhook kyverno-resource-validating-webhook-cfg"],
    });
    expect(judge({ admission })).toMatchObject([{ id: "admission", severity: "unknown" }]);
  });
});

describe("quotas", () => {
  it.each([
    ["one of the stack's own", quota({ pods: 1 }, { stack: "run" }), []],
    ["one for some pods only", quota({ pods: 1 }, { scoped: true }), ["unknown"]],
    ["one of the sandboxes", quota({ pods: trials - 1 }, { namespace: "run-sandbox" }), ["fatal"]],
    ["one just large enough", quota({ pods: trials }, { namespace: "run-sandbox" }), []],
  ])("are judged: %s", (_what, given, severities) => {
    expect(judge(given).map(({ severity }) => severity)).toEqual(severities);
  });
});
