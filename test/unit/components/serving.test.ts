import { beforeAll, describe, expect, it } from "vitest";
import type { Plan } from "../../../plan/plan.ts";
import { Connectivity, type Endpoint } from "../../support/connectivity.ts";
import { karpenterSite } from "../../support/karpenter.ts";
import type { Recording } from "../../support/recorder.ts";
import { recordTier } from "../../support/tier.ts";

const yaml = `serving:
  - { name: judge, model_path: /models/Qwen3-30B-A3B-Instruct-2507, gpus: 2, replicas: 2 }
  - { name: eval, model_path: /models/x, port: 8011 }`;
let recording: Recording;
let plan: Plan;
beforeAll(async () => {
  ({ recording, plan } = await recordTier(yaml, { secrets: { registryCredentials: "r" } }));
});
const object = (kind: string, name: string) => {
  const found = recording.objects(kind).filter(({ metadata }) => metadata.name === name);
  expect(found).toHaveLength(1);
  return found[0]!;
};

interface Deployment {
  template: {
    metadata: { labels: Record<string, string>; annotations: Record<string, string> };
    spec: { containers: Record<string, unknown>[] } & Record<string, unknown>;
  };
}
const judge = () => object("Deployment", "frozen-judge")["spec"] as Deployment;

describe("a frozen model", () => {
  it("runs the Plan's command on the Plan's GPUs, in the training namespace", () => {
    expect(object("Deployment", "frozen-judge").metadata.namespace).toBe("run-train");
    const { spec } = judge().template;
    expect(spec).toMatchObject({
      nodeSelector: { "swe-rl.dev/pool": "gpu" },
      enableServiceLinks: false,
      automountServiceAccountToken: false,
      serviceAccountName: "frozen-judge",
    });
    const memory = String(350 * 2 ** 30);
    expect(spec.containers).toEqual([
      expect.objectContaining({
        command: plan.serving[0]?.argv,
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        ports: [{ name: "http", containerPort: 8000 }],
        resources: {
          requests: { cpu: "24", memory, "nvidia.com/gpu": "2" },
          limits: { memory, "nvidia.com/gpu": "2" },
        },
        volumeMounts: [
          { name: "shm", mountPath: "/dev/shm" },
          { name: "models", mountPath: "/models", readOnly: true },
        ],
      }),
    ]);
    expect(spec["volumes"]).toEqual([
      { name: "shm", emptyDir: { medium: "Memory", sizeLimit: String(20 * 2 ** 30) } },
      { name: "models", persistentVolumeClaim: { claimName: "models", readOnly: true } },
    ]);
  });

  it("has half an hour to start, and minutes of patience afterwards", () => {
    const probes = judge().template.spec.containers[0] as Record<
      "startupProbe" | "readinessProbe" | "livenessProbe",
      { httpGet: { path: string }; periodSeconds: number; failureThreshold: number }
    >;
    const seconds = (name: keyof typeof probes) => {
      const { httpGet, periodSeconds, failureThreshold } = probes[name];
      expect(httpGet.path).toBe("/health");
      return periodSeconds * failureThreshold;
    };
    expect(seconds("startupProbe")).toBeGreaterThanOrEqual(1800);
    expect(seconds("livenessProbe")).toBeGreaterThanOrEqual(180);
    expect(seconds("readinessProbe")).toBeLessThan(60);
  });

  it("is awaited for longer than it may take to start, each replica in turn", () => {
    const { timeouts } = recording.one("kubernetes:batch/v1:Job", "services-start");
    expect(timeouts?.create).toBe("96m");
    expect(judge()).toMatchObject({
      progressDeadlineSeconds: 2700,
      strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
    });
  });

  it("comes after Ray, whose workers need whole nodes", () => {
    const { dependencies } = recording.one("swe-rl:inference:FrozenModel", "frozen-judge");
    expect(dependencies.map((urn) => urn.split("::").at(-1))).toContain("training-start");
  });

  it("has a Service of its own, which finds its pods and no others", () => {
    const service = object("Service", "frozen-eval")["spec"] as {
      selector: Record<string, string>;
      ports: object[];
    };
    expect(service.ports).toEqual([{ name: "http", port: 8011, targetPort: "http" }]);
    expect(judge().template.metadata.labels).not.toMatchObject(service.selector);
    const other = object("Deployment", "frozen-eval")["spec"] as Deployment;
    expect(other.template.metadata.labels).toMatchObject(service.selector);
  });

  it("has no token, and pulls with the site's credentials", () => {
    expect(object("ServiceAccount", "frozen-judge")).toMatchObject({
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: "secrets-registry-train-1a2b3c4d" }],
    });
  });

  it("is as disturbable as the experiment says", async () => {
    const budget = (from: Recording) =>
      from
        .objects("PodDisruptionBudget")
        .filter(({ metadata }) => metadata.namespace === "run-train")
        .map(({ metadata, ...rest }) => {
          const spec = rest["spec"] as { maxUnavailable?: number; minAvailable?: number };
          return [metadata.name, spec.maxUnavailable ?? `all ${spec.minAvailable ?? 0}`];
        })
        .sort();
    expect(budget(recording)).toEqual([
      ["frozen-eval", 0],
      ["frozen-judge", 0],
      ["ray", "all 2"],
      ["recorder", 0],
    ]);
    expect(judge().template.metadata.annotations).toEqual(plan.disruption.podAnnotations);
    const { recording: voluntary } = await recordTier(`${yaml}\ndisruption: voluntary`);
    expect(budget(voluntary)).toEqual([
      ["frozen-eval", 1],
      ["frozen-judge", 1],
      ["recorder", 1],
    ]);
    expect(JSON.stringify(voluntary.registrations)).not.toContain("do-not-disrupt");
  });
});

describe("who may talk to a frozen model", () => {
  const pod = (namespace: string, role: string): Endpoint => ({
    namespace,
    labels: { "swe-rl.dev/role": role },
  });
  const frozen = pod("run-train", "frozen-model");
  const ports = [53, 443, 6379, 8000, 8002, 8003, 8011, 8265, 40000];
  const trainingPods = ["ray-head", "ray-worker", "trainer"].map((role) => pod("run-train", role));
  const others: Endpoint[] = [
    pod("run-proxy", "proxy"),
    pod("run-sandbox", "sandbox"),
    pod("other-train", "ray-worker"),
    pod("run-train", "frozen-model"),
    { namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
    { address: "1.1.1.1" },
  ];
  const open = (from: Endpoint, to: Endpoint) => {
    const network = new Connectivity(recording.objects("NetworkPolicy"));
    return ports.filter((port) => network.allows(from, to, { protocol: "TCP", port }));
  };

  it("the training namespace's other pods, on its port", () => {
    for (const source of trainingPods) expect(open(source, frozen)).toEqual([8000, 8011]);
  });

  it("nobody else", () => {
    for (const source of others) expect(open(source, frozen)).toEqual([]);
  });

  it("and it calls nobody", () => {
    for (const target of [...trainingPods, ...others]) expect(open(frozen, target)).toEqual([]);
  });

  it("while the others go on as without it", () => {
    const [head, worker] = trainingPods as [Endpoint, Endpoint];
    expect(open(worker, head)).toEqual(ports);
    expect(open(pod("run-proxy", "proxy"), pod("run-train", "recorder"))).toEqual([8003]);
    expect(open(worker, { address: "1.1.1.1" })).toEqual([443]);
  });
});

describe("a pool of Karpenter", () => {
  it("is the stack's own, and is there before Ray", async () => {
    const { recording: pools } = await recordTier(yaml, { site: karpenterSite() });
    const { inputs, timeouts } = pools.one("kubernetes:karpenter.sh/v1:NodePool", "gpu-pool");
    expect(inputs).toMatchObject({
      apiVersion: "karpenter.sh/v1",
      kind: "NodePool",
      metadata: { name: "run-gpu", labels: { "swe-rl.dev/stack": "run" } },
      spec: {
        template: {
          // Karpenter refuses labels of the domain kubernetes.io here.
          metadata: { labels: { "swe-rl.dev/node-pool": "run-gpu" } },
          spec: {
            nodeClassRef: { group: "karpenter.k8s.aws", kind: "EC2NodeClass", name: "gpu" },
            taints: [{ key: "swe-rl.dev/node-pool", value: "run-gpu", effect: "NoSchedule" }],
            requirements: [
              { key: "node.kubernetes.io/instance-type", operator: "In", values: ["gpu.large"] },
              {
                key: "karpenter.sh/capacity-type",
                operator: "In",
                values: ["reserved", "on-demand"],
              },
            ],
            expireAfter: "Never",
          },
        },
        disruption: {
          consolidationPolicy: "WhenEmpty",
          consolidateAfter: "10m",
          budgets: [
            { nodes: "0", reasons: ["Drifted", "Underutilized"] },
            { nodes: "100%", reasons: ["Empty"] },
          ],
        },
        limits: { "nvidia.com/gpu": 16 },
      },
    });
    expect(JSON.stringify(inputs)).not.toContain("terminationGracePeriod");
    expect(timeouts?.delete).toBe("30m");
    expect(
      pools
        .objects("NodePool")
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(["run-gpu", "run-sandbox"]);
    const ray = pools.one("swe-rl:ray:RayCluster", "ray");
    expect(ray.dependencies.map((urn) => urn.split("::").at(-1))).toEqual(
      expect.arrayContaining(["gpu-pool", "sandbox-pool"]) as string[],
    );
    const deployment = pools
      .objects("Deployment")
      .find(({ metadata }) => metadata.name === "frozen-judge");
    expect((deployment?.["spec"] as Deployment).template.spec).toMatchObject({
      nodeSelector: { "swe-rl.dev/node-pool": "run-gpu" },
      tolerations: expect.arrayContaining([
        expect.objectContaining({ key: "swe-rl.dev/node-pool", value: "run-gpu" }),
      ]) as object[],
    });
  });
});
