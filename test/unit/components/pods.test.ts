import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import type { Plan } from "../../../plan/plan.ts";
import type { KubernetesObject, Recording } from "../../support/recorder.ts";
import { recordTier } from "../../support/tier.ts";

interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env: {
    name: string;
    value?: string;
    valueFrom?: { secretKeyRef: { name: string; key: string } };
  }[];
  ports?: { name: string; containerPort: number }[];
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  securityContext: Record<string, unknown>;
  terminationMessagePolicy?: string;
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
}
interface Probe {
  httpGet: { path: string };
  periodSeconds: number;
  failureThreshold: number;
}
interface PodTemplate {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: {
    containers: Container[];
    initContainers?: Container[];
    hostNetwork?: boolean;
    automountServiceAccountToken?: boolean;
    serviceAccountName: string;
    nodeSelector: Record<string, string>;
    tolerations: object[];
    restartPolicy?: string;
    securityContext: { runAsNonRoot?: boolean; sysctls?: { name: string; value: string }[] };
    volumes: { name: string; emptyDir?: { medium?: string; sizeLimit?: string } }[];
  };
}
interface RayGroup {
  groupName: string;
  replicas: number;
  minReplicas: number;
  maxReplicas: number;
  rayStartParams: Record<string, string>;
  template: PodTemplate;
}

const first = <T>(items: readonly T[] | undefined): T => {
  if (items?.[0] === undefined) throw new Error("nothing there");
  return items[0];
};
const variable = ({ env }: Container, name: string) => env.find((entry) => entry.name === name);

let recording: Recording;
let plan: Plan;
beforeAll(async () => {
  ({ recording, plan } = await recordTier("", { secrets: { wandbApiKey: "w" } }));
});
const spec = (object: KubernetesObject): unknown => object["spec"];

describe("the Ray cluster", () => {
  const cluster = () =>
    spec(first(recording.objects("RayCluster"))) as {
      authOptions: object;
      upgradeStrategy: object;
      enableInTreeAutoscaling: boolean;
      headGroupSpec: { rayStartParams: Record<string, string>; template: PodTemplate };
      workerGroupSpecs: RayGroup[];
    };

  it("has a head without GPUs, for the job API with a token", () => {
    const { headGroupSpec, authOptions } = cluster();
    expect(headGroupSpec.rayStartParams).toEqual({
      // verl must not place its driver and agent loops there.
      "num-cpus": "0",
      "num-gpus": "0",
      "object-store-memory": "20000000000",
      "dashboard-host": "0.0.0.0",
      "dashboard-port": "8265",
      port: "6379",
    });
    expect(authOptions).toEqual({ mode: "token", secretName: "secrets-ray-auth-1a2b3c4d" });
    const head = first(headGroupSpec.template.spec.containers);
    expect(head.resources.limits).not.toHaveProperty("nvidia.com/gpu");
    expect(headGroupSpec.template.spec.nodeSelector).toEqual({ "swe-rl.dev/pool": "cpu" });
    expect(head.volumeMounts).toContainEqual({
      name: "programs",
      mountPath: "/opt/swe-rl",
      readOnly: true,
    });
  });

  it("has one group that never scales, one pod per node, with all its GPUs", () => {
    const [train, ...others] = cluster().workerGroupSpecs;
    expect(others).toEqual([]);
    expect(train).toMatchObject({
      groupName: "train",
      replicas: 1,
      minReplicas: 1,
      maxReplicas: 1,
    });
    expect(cluster().enableInTreeAutoscaling).toBe(false);
    const worker = first(train?.template.spec.containers);
    expect(worker.resources).toEqual({
      requests: { cpu: "96", memory: String(1400 * 2 ** 30), "nvidia.com/gpu": "8" },
      limits: { memory: String(1400 * 2 ** 30), "nvidia.com/gpu": "8" },
    });
  });

  it("mounts shared memory of its own size, which counts into the limit", () => {
    for (const [template, size] of [
      [cluster().headGroupSpec.template, 32],
      [first(cluster().workerGroupSpecs).template, 102],
    ] as const) {
      expect(template.spec.volumes).toContainEqual({
        name: "shm",
        emptyDir: { medium: "Memory", sizeLimit: String(size * 2 ** 30) },
      });
      expect(first(template.spec.containers).volumeMounts).toContainEqual({
        name: "shm",
        mountPath: "/dev/shm",
      });
    }
  });

  it("gives every pod the whole environment, secrets by reference", () => {
    for (const template of [
      cluster().headGroupSpec.template,
      first(cluster().workerGroupSpecs).template,
    ]) {
      const container = first(template.spec.containers);
      const names = container.env.map(({ name }) => name);
      expect(names).toEqual(
        expect.arrayContaining(plan.trainer.environment.map(({ name }) => name)) as string[],
      );
      expect(new Set(names).size).toBe(names.length);
      expect(variable(container, "ANTHROPIC_BASE_URL")?.value).toBe("http://10.96.0.42:8002");
      for (const [name, key] of [
        ["ANTHROPIC_API_KEY", "sandboxKey"],
        ["HARBOR_ANTHROPIC_API_KEY", "sandboxKey"],
      ] as const) {
        expect(variable(container, name)).toEqual({
          name,
          valueFrom: { secretKeyRef: { name: "secrets-training-credentials-1a2b3c4d", key } },
        });
      }
    }
  });

  it("keeps its own ports in the range that the policies open, off the host's network", () => {
    for (const { template } of [cluster().headGroupSpec, ...cluster().workerGroupSpecs]) {
      expect(template.spec.hostNetwork).toBeUndefined();
      expect(template.spec.securityContext.sysctls).toEqual([
        { name: "net.ipv4.ip_local_port_range", value: "40000 49999" },
      ]);
    }
  });

  it("is not disturbed by autoscalers or drains", () => {
    for (const { template } of [cluster().headGroupSpec, ...cluster().workerGroupSpecs]) {
      expect(template.metadata.annotations).toEqual({
        "karpenter.sh/do-not-disrupt": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
      });
    }
    expect(
      spec(
        first(
          recording
            .objects("PodDisruptionBudget")
            .filter(({ metadata }) => metadata.name === "ray"),
        ),
      ),
    ).toEqual({
      minAvailable: 2,
      selector: { matchLabels: { "ray.io/cluster": "ray" } },
    });
  });

  it("makes its pods anew where they change", () => {
    expect(cluster().upgradeStrategy).toEqual({ type: "Recreate" });
  });
});

describe("the trainer's job", () => {
  const job = () =>
    spec(first(recording.objects("Job"))) as {
      podFailurePolicy: { rules: object[] };
      template: PodTemplate;
    };

  it("submits the Plan's command, which stands in its specification and nowhere else", () => {
    const data = recording.one("kubernetes:core/v1:ConfigMap", "trainer-specification").inputs[
      "data"
    ];
    const run = JSON.parse((data as Record<string, string>)["run.json"] ?? "") as Record<
      string,
      unknown
    >;
    expect(run).toEqual({
      name: "run",
      fingerprint: plan.trainer.fingerprint,
      argv: plan.trainer.argv,
      workingDirectory: "/workspace/repos/harbor-verl-train",
      trainingLog: "/workspace/repos/harbor-verl-train/logs/run.log",
      vllmLog: "/workspace/repos/harbor-verl-train/logs/run_vllm.log",
      gpus: 8,
      maxRestarts: 3,
    });
    const submitter = first(job().template.spec.containers);
    expect(submitter.command).toEqual(["python3", "-u", "/opt/swe-rl/submit_run.py"]);
    expect(submitter.terminationMessagePolicy).toBe("FallbackToLogsOnError");
    expect(variable(submitter, "RAY_JOBS_URL")?.value).toBe("http://ray-head-svc.run-train:8265");
    expect(variable(submitter, "RAY_AUTH_TOKEN")?.valueFrom?.secretKeyRef.key).toBe("auth_token");
  });

  it("is replaced one at a time, and gives up on a final failure only", () => {
    expect(job().template.spec.restartPolicy).toBe("Never");
    const codes = submitterExitCodes();
    const final = ["BAD_INPUT", "RUN_FAILED", "TOKEN_REFUSED", "STOPPED"].map((name) =>
      codes.get(name),
    );
    expect(final).not.toContain(undefined);
    expect(job().podFailurePolicy.rules).toEqual([
      {
        action: "FailJob",
        onExitCodes: { operator: "In", values: final, containerName: "submitter" },
      },
      { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
    ]);
  });

  it("has no access to the API server", () => {
    expect(job().template.spec.automountServiceAccountToken).toBe(false);
  });
});

describe("the account of Ray's pods", () => {
  it("may start, read, end and enter sandboxes, and nothing else", () => {
    const ofTrainer = ({ metadata }: KubernetesObject) => metadata.name === "trainer";
    const roles = recording.objects("Role").filter(ofTrainer);
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(["run-sandbox"]);
    expect(first(roles)["rules"]).toEqual([
      { apiGroups: [""], resources: ["pods"], verbs: ["create", "get", "delete"] },
      { apiGroups: [""], resources: ["pods/exec"], verbs: ["create", "get"] },
    ]);
    expect(recording.objects("ClusterRole")).toEqual([]);
    const bindings = recording.objects("RoleBinding").filter(ofTrainer);
    expect(bindings.map((binding) => binding["subjects"])).toEqual([
      [{ kind: "ServiceAccount", name: "trainer", namespace: "run-train" }],
    ]);
  });
});

/** Deployment, Service and the like, by name. */
const named = (kind: string, name: string, from = recording) => {
  const found = from.objects(kind).filter(({ metadata }) => metadata.name === name);
  expect(found).toHaveLength(1);
  return first(found);
};
const podsOf = (name: string, from = recording) =>
  spec(named("Deployment", name, from)) as {
    replicas: number;
    strategy?: { type: string };
    template: PodTemplate;
  };
const programsOf = (name: string) =>
  recording.one("kubernetes:core/v1:ConfigMap", name).inputs["data"] as Record<string, string>;
const valuesOf = ({ env }: Container) =>
  Object.fromEntries(env.map(({ name, value }) => [name, value]));

describe("the recorder", () => {
  const discovered = () => ({
    RAY_JOBS_URL: "http://ray-head-svc.run-train:8265",
    RAY_AUTH_TOKEN: undefined,
    RAY_NAMESPACE: plan.trainer.rayNamespace,
    ROLLOUT_SERVERS: "2",
    LIST_PROGRAM: "/opt/swe-rl/list_rollouts.py",
    RAY_GPUS: "8",
    ROLLOUT_TABLE: "/run/swe-rl/rollouts.json",
    DISCOVERY_TIMEOUT_SECONDS: "300",
  });

  it("starts after discovery has found every rollout server, and follows them with the same", () => {
    const { spec: pod } = podsOf("recorder").template;
    const discovery = first(pod.initContainers);
    expect(discovery.command).toEqual(["python3", "-u", "/opt/swe-rl/discover_rollouts.py"]);
    expect(valuesOf(discovery)).toEqual(discovered());
    expect(discovery.terminationMessagePolicy).toBe("FallbackToLogsOnError");
    const server = first(pod.containers);
    expect(server.command).toEqual(["python3", "-u", "/opt/swe-rl/recorder.py"]);
    expect(valuesOf(server)).toEqual({
      ...discovered(),
      RECORDER_PORT: "8003",
      TRAJECTORIES_DIRECTORY: plan.outputs.trajectory_log,
      MOST_CALL_TOKENS: String(plan.batches.callTokens),
    });
    expect(variable(server, "RAY_AUTH_TOKEN")?.valueFrom?.secretKeyRef.key).toBe("auth_token");
    expect([server.image, discovery.image]).toEqual([plan.trainer.image, plan.trainer.image]);
  });

  it("writes to the volume of the trials, of which no other pod of its kind is a writer", () => {
    const { replicas, strategy, template } = podsOf("recorder");
    expect([replicas, strategy]).toEqual([1, { type: "Recreate" }]);
    const { volumeMounts } = first(template.spec.containers);
    const mounts = volumeMounts.filter(({ name }) => name === "trials");
    expect(mounts).toEqual([
      { name: "trials", mountPath: "/workspace/repos/harbor-verl-train/harbor_trials" },
    ]);
    expect(plan.outputs.trajectory_log.startsWith(`${first(mounts).mountPath}/`)).toBe(true);
    expect(template.spec.volumes).toContainEqual({
      name: "trials",
      persistentVolumeClaim: { claimName: "trials" },
    });
  });

  it("has no capability but to write there, no token and a read-only root", () => {
    const { template } = podsOf("recorder");
    expect(template.spec.automountServiceAccountToken).toBe(false);
    const contexts = [...(template.spec.initContainers ?? []), ...template.spec.containers].map(
      ({ securityContext }) => securityContext,
    );
    const hardened = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true };
    expect(contexts).toEqual([
      { ...hardened, capabilities: { drop: ["ALL"] } },
      { ...hardened, capabilities: { drop: ["ALL"], add: ["DAC_OVERRIDE"] } },
    ]);
  });

  it("has every program that its programs import", () => {
    for (const map of ["recorder-programs", "litellm-configuration"]) {
      const programs = programsOf(map);
      const ours = readdirSync("runtime").filter((file) => file.endsWith(".py"));
      for (const [file, text] of Object.entries(programs)) {
        const imported = [...text.matchAll(/^(?:from|import) (\w+)/gm)].map(([, name]) => name);
        for (const name of imported.filter((module) => ours.includes(`${module ?? ""}.py`))) {
          expect(Object.keys(programs), `${file} imports it`).toContain(`${name ?? ""}.py`);
        }
      }
    }
  });

  it("is not evicted, and is known by the name and port that LiteLLM has", () => {
    expect(spec(named("PodDisruptionBudget", "recorder"))).toMatchObject({ maxUnavailable: 0 });
    expect(spec(named("Service", "recorder"))).toMatchObject({
      selector: { "swe-rl.dev/role": "recorder" },
      ports: [{ port: 8003, targetPort: 8003 }],
    });
    expect(plan.proxy).toMatchObject({ recorder: { url: "http://recorder.run-train:8003" } });
  });

  it("is rolled when the run changes, and stays when it does not", async () => {
    const runOf = async (yaml: string) =>
      podsOf("recorder", (await recordTier(yaml)).recording).template.metadata.annotations;
    expect(await runOf("training: { total_epochs: 9 }")).not.toEqual(await runOf(""));
    expect(await runOf("sandbox: { parallel_trials: 200 }")).toEqual(await runOf(""));
  });
});

describe("the proxy", () => {
  const deployment = () => podsOf("litellm");

  it("starts when the recorder is ready, with the Plan's configuration", () => {
    const { spec: pod } = deployment().template;
    const waiter = first(pod.initContainers);
    expect(waiter.command).toEqual(["python3", "-u", "/etc/litellm/await_recorder.py"]);
    expect(valuesOf(waiter)).toEqual({
      RECORDER_URL: "http://recorder.run-train:8003",
      TIMEOUT_SECONDS: "300",
    });
    const files = programsOf("litellm-configuration");
    expect(plan.proxy).toMatchObject({
      litellm: JSON.parse(files["config.yaml"] ?? "") as object,
    });
    expect(Object.keys(files)).toEqual(
      expect.arrayContaining(["sandbox_auth.py", "call_headers.py"]) as string[],
    );
  });

  it("knows nothing of Ray", () => {
    const inProxy = recording.registrations.filter(({ inputs }) => {
      const metadata = inputs["metadata"] as { namespace?: string } | undefined;
      return metadata?.namespace === "run-proxy";
    });
    expect(inProxy.length).toBeGreaterThan(8);
    const text = JSON.stringify(inProxy.map(({ inputs }) => inputs));
    expect(text).not.toMatch(/RAY_|ray-head|ray-worker|8265|rayToken|secrets-ray-token/);
  });

  it("stays when the run changes: the recorder follows it", async () => {
    const { recording: changed } = await recordTier("training: { total_epochs: 9 }");
    expect(podsOf("litellm", changed)).toEqual(deployment());
  });

  it("runs twice, as nobody, with a read-only root and no token", () => {
    const { replicas, template } = deployment();
    expect(replicas).toBe(2);
    expect(template.spec.automountServiceAccountToken).toBe(false);
    expect(template.spec.securityContext.runAsNonRoot).toBe(true);
    for (const container of [
      ...(template.spec.initContainers ?? []),
      ...template.spec.containers,
    ]) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });

  it("is never probed by a route that calls the rollout servers", () => {
    const { startupProbe, readinessProbe, livenessProbe } = first(
      deployment().template.spec.containers,
    );
    expect(
      [startupProbe, readinessProbe, livenessProbe].map((probe) => probe?.httpGet.path),
    ).toEqual(["/health/liveliness", "/health/readiness", "/health/liveliness"]);
    // Minutes of tolerance: a probe of seconds has killed servers that only were busy (dynamo#14735).
    expect(
      (livenessProbe?.periodSeconds ?? 0) * (livenessProbe?.failureThreshold ?? 0),
    ).toBeGreaterThanOrEqual(180);
  });

  it("keeps a trial on one pod, and its Service is not awaited before the pods exist", () => {
    const service = named("Service", "litellm");
    expect(service["spec"]).toMatchObject({ sessionAffinity: "ClientIP", type: "ClusterIP" });
    expect(service.metadata.annotations).toMatchObject({ "pulumi.com/skipAwait": "true" });
  });
});

/** The submitter's exit codes by name, as its program defines them. */
function submitterExitCodes(): ReadonlyMap<string, number> {
  const program = readFileSync("runtime/trainer/submit_run.py", "utf8");
  const shared = readFileSync("runtime/common/pod.py", "utf8");
  const badInput = Number(/^BAD_INPUT = (\d+)$/m.exec(shared)?.[1]);
  const [, body = ""] = /^class Exit\(IntEnum\):\n((?: {4}.*\n)+)/m.exec(program) ?? [];
  return new Map(
    [...body.matchAll(/^ {4}([A-Z_]+) = (\d+|pod\.BAD_INPUT)$/gm)].map(([, name = "", value]) => [
      name,
      value === "pod.BAD_INPUT" ? badInput : Number(value),
    ]),
  );
}
