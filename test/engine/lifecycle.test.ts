import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { OtherLab } from "./support/lab.ts";
import { Project } from "./support/project.ts";
import { labelledObjects, readState, type StateResource } from "./support/state.ts";

interface KubernetesObject {
  kind: string;
  metadata: { name: string; namespace?: string; uid: string; labels?: Record<string, string> };
  spec: Record<string, unknown>;
  status: Record<string, unknown>;
  data?: Record<string, string>;
}

const stack = "single-node";
const kept = [
  "Namespace single-node-train",
  "PersistentVolumeClaim single-node-train/checkpoints",
  "PersistentVolumeClaim single-node-train/logs",
  "PersistentVolumeClaim single-node-train/trials",
];

/** The life of one stack; each step builds on the one before. */
describe("a single-node stack", () => {
  let project: Project;
  let previewed: string[];
  const logs: string[] = [];
  const succeed = async (...args: string[]) => {
    const { status, output, stdout } = await project.pulumi(...args, "-s", stack);
    logs.push(output);
    if (status !== 0) throw new Error(output);
    return stdout;
  };
  const claimedVolumes = async () =>
    Object.fromEntries(
      (await project.objects<KubernetesObject>("pvc", "-n", "single-node-train")).map((claim) => [
        claim.metadata.name,
        claim.spec["volumeName"],
      ]),
    );

  const temporary = mkdtempSync(join(tmpdir(), "swe-rl-lifecycle-"));

  beforeAll(() => {
    project = new Project({ TMPDIR: temporary });
  });
  afterAll(async () => {
    await project.pulumi("destroy", "--yes", "--skip-preview", "-s", stack);
    await project.pulumi("stack", "rm", "--yes", "-s", stack);
    const now = ["--ignore-not-found", "--wait=false"];
    await project.kubectl("delete", "namespace", "single-node-train", ...now);
    project.dispose();
    rmSync(temporary, { recursive: true, force: true });
  });

  it("is previewed without creating anything", async () => {
    await succeed("stack", "init");
    const output = await succeed("preview", "--json");
    const { steps } = JSON.parse(output) as {
      steps: { urn: string; op: string }[];
    };
    expect(new Set(steps.map(({ op }) => op))).toEqual(new Set(["create"]));
    previewed = steps.map(({ urn }) => urn);
    expect(await labelledObjects(project, stack)).toEqual([]);
  });

  it("comes up", async () => {
    // Simulated nodes have no operator inside, no network that enforces, no images and no range of pods, and nobody has
    // looked at the inputs. The values have no router replay.
    expect(await succeed("up", "--yes")).toMatch(
      /preflight: \d+ ok, 1 warnings, 0 fatal, 6 unknown/,
    );
  });

  it("has exactly the resources that preview announced", async () => {
    const state = await readState(project, stack);
    expect(state.map(({ urn }) => urn).sort()).toEqual([...previewed].sort());
  });

  it("runs Ray with a head and one worker of 8 GPUs", async () => {
    const [cluster] = await project.objects<KubernetesObject>(
      "rayclusters",
      "-n",
      "single-node-train",
    );
    expect(cluster?.status).toMatchObject({
      state: "ready",
      readyWorkerReplicas: 1,
      desiredGPU: "8",
    });
    const pods = await project.objects<KubernetesObject>(
      "pods",
      "-n",
      "single-node-train",
      "-l",
      "ray.io/cluster=ray",
    );
    expect(pods.map(({ metadata }) => metadata.labels?.["swe-rl.dev/role"]).sort()).toEqual([
      "ray-head",
      "ray-worker",
    ]);
    expect(pods.map(({ status }) => status["phase"])).toEqual(["Running", "Running"]);
  });

  it("has the proxy ready, its policies, its quota and its claims", async () => {
    const [proxy] = await project.objects<KubernetesObject>(
      "deployments",
      "-n",
      "single-node-proxy",
    );
    expect(proxy?.status).toMatchObject({ readyReplicas: 2 });
    const policies = await project.objects<KubernetesObject>("networkpolicies", "-A");
    expect(
      policies
        .filter(({ metadata }) => metadata.name === "default-deny")
        .map(({ metadata }) => metadata.namespace)
        .sort(),
    ).toEqual(["single-node-proxy", "single-node-sandbox", "single-node-train"]);
    const [quota] = await project.objects<KubernetesObject>(
      "resourcequotas",
      "-n",
      "single-node-sandbox",
    );
    expect(quota?.status).toMatchObject({ hard: { pods: "120" }, used: { pods: "0" } });
    const claims = await project.objects<KubernetesObject>("pvc", "-n", "single-node-train");
    expect(claims.map(({ metadata, status }) => [metadata.name, status["phase"]]).sort()).toEqual(
      ["checkpoints", "data", "logs", "models", "trials"].map((name) => [name, "Bound"]),
    );
  });

  it("labels every object that it made", async () => {
    const state = await readState(project, stack);
    const objects = state.filter(isObject);
    expect((await labelledObjects(project, stack)).length).toBeGreaterThanOrEqual(objects.length);
    for (const { inputs } of objects) {
      const { labels } = inputs["metadata"] as { labels: Record<string, string> };
      expect(labels).toMatchObject({
        "swe-rl.dev/stack": stack,
        "app.kubernetes.io/part-of": "swe-rl",
      });
    }
  });

  it("is made of objects that the API server finds valid, unknown fields included", async () => {
    const state = await readState(project, stack);
    for (const { inputs, type } of state.filter(isObject)) {
      // Encrypted in the exported state; their form is seen by the API server in `up`.
      if (type === "kubernetes:core/v1:Secret") continue;
      const { status, stderr } = spawnSync(
        "kubectl",
        [
          "apply",
          "--server-side",
          "--force-conflicts",
          "--dry-run=server",
          "--validate=strict",
          "-f",
          "-",
        ],
        {
          input: JSON.stringify(inputs),
          encoding: "utf8",
          env: { ...process.env, ...inject("lab") },
        },
      );
      expect({ type, status, stderr: stderr.replaceAll(/^Warning:.*$/gm, "").trim() }).toEqual({
        type,
        status: 0,
        stderr: "",
      });
    }
  });

  it("shows its outputs", async () => {
    const outputs = JSON.parse(await succeed("stack", "output", "--json")) as Record<
      string,
      unknown
    >;
    expect(Object.keys(outputs).sort()).toEqual([
      "checkpoint_path",
      "follow",
      "isolation",
      "kept_on_destroy",
      "namespaces",
      "preflight",
      "proxy_url",
      "ray_dashboard",
      "run",
      "training_curves",
      "training_log",
      "trajectory_log",
      "val_resolve_rate",
      "vllm_log",
    ]);
    expect(outputs).toMatchObject({
      isolation: "unproven: simulated nodes",
      proxy_url: expect.stringMatching(/^http:\/\/\d+\.\d+\.\d+\.\d+:8002$/) as string,
      kept_on_destroy: [
        "namespace single-node-train",
        "claim single-node-train/checkpoints",
        "claim single-node-train/logs",
        "claim single-node-train/trials",
      ],
    });
  });

  it("does not change on a second up", async () => {
    const output = await succeed("up", "--yes", "--expect-no-changes");
    expect(output).toMatch(/Resources:\n\s+\d+ unchanged/);
  });

  it("is not taken for that of another cluster under the same name", async () => {
    using other = new OtherLab();
    project.useKubeconfig(other.kubeconfig());
    const before = await readState(project, stack);
    for (const command of ["preview", "up", "destroy"]) {
      const options = command === "destroy" ? ["--yes", "--run-program"] : ["--yes"];
      const { status, output } = await project.pulumi(
        ...[command, ...(command === "preview" ? [] : options), "-s", stack],
      );
      expect(status, output).not.toBe(0);
      expect(output).toMatch(
        /cluster-identity: context kwok-swe-rl is cluster \S+; expected cluster \S+, which was called kwok-swe-rl/,
      );
    }
    project.useKubeconfig();
    expect(await readState(project, stack)).toEqual(before);
  });

  it("has no path of a machine in its state, and leaves no credentials in the temporary folder", async () => {
    const providers = (await readState(project, stack)).filter(({ type }) =>
      type.startsWith("pulumi:providers:kubernetes"),
    );
    expect(providers).toHaveLength(2);
    for (const { inputs } of providers) {
      expect(inputs).toMatchObject({ clusterIdentifier: expect.stringMatching(/-/) as string });
      expect(JSON.stringify(inputs)).not.toContain("/");
    }
    expect(readdirSync(temporary).filter((file) => file.startsWith("kubeconfig"))).toEqual([]);
  });

  it("changes only what a changed setting concerns", async () => {
    project.replace("config/single-node.yaml", ["total_epochs: 3", "total_epochs: 4"]);
    const output = await succeed("preview", "--json");
    const { steps } = JSON.parse(output) as {
      steps: { urn: string; op: string }[];
    };
    const changed = steps
      .filter(({ op }) => op !== "same")
      .map(({ urn }) => urn.split("::").slice(-2).join(" ").replace(/^.*\$/, ""));
    expect([...new Set(changed)].sort()).toEqual([
      "kubernetes:apps/v1:Deployment recorder",
      "kubernetes:batch/v1:Job policy-check",
      "kubernetes:batch/v1:Job rollout-check",
      "kubernetes:batch/v1:Job services-start",
      "kubernetes:batch/v1:Job trainer",
      "kubernetes:batch/v1:Job training-start",
      "kubernetes:core/v1:ConfigMap trainer-specification",
      "swe-rl:index:StartCheck services-start",
      "swe-rl:index:StartCheck training-start",
      "swe-rl:inference:PolicyCheck policy-check",
      "swe-rl:inference:PolicyCheck rollout-check",
      "swe-rl:inference:Recorder recorder",
      "swe-rl:training:TrainerJob trainer",
    ]);
    await succeed("up", "--yes", "--skip-preview");
  });

  it("shows no secret value in state, preview, logs, ConfigMaps or command lines", async () => {
    const secrets = await project.objects<KubernetesObject>(
      "secrets",
      "-A",
      "-l",
      `swe-rl.dev/stack=${stack}`,
    );
    const values = secrets.flatMap(({ data }) =>
      Object.values(data ?? {}).map((value) => Buffer.from(value, "base64").toString()),
    );
    // Two keys stand in two namespaces each; a key with the prefix is found by what follows it.
    const needles = [...new Set(values.map((value) => value.replace(/^sk-/, "")))];
    expect(needles).toHaveLength(3);
    for (const needle of needles) expect(needle.length).toBeGreaterThanOrEqual(40);
    const leaks = (text: string) => needles.filter((needle) => text.includes(needle));

    logs.push((await project.pulumi("preview", "--diff", "-s", stack)).output);
    expect(logs.flatMap(leaks)).toEqual([]);
    const stateFolder = inject("lab")["PULUMI_BACKEND_URL"]?.replace("file://", "") ?? "";
    const files = filesBelow(stateFolder);
    expect(files.length).toBeGreaterThan(1);
    expect(files.filter((file) => leaks(readFileSync(file, "utf8")).length > 0)).toEqual([]);
    for (const kind of [
      "configmaps",
      "pods",
      "deployments",
      "jobs",
      "rayclusters",
      "networkpolicies",
      "services",
    ]) {
      expect(leaks((await project.kubectl("get", kind, "-A", "-o", "yaml")).output)).toEqual([]);
    }
  });

  it("leaves nothing but its volumes and their namespace", async () => {
    const before = await claimedVolumes();
    const output = await succeed("destroy", "--yes");
    expect(output).toContain("deleted");
    expect((await labelledObjects(project, stack)).sort()).toEqual(kept);
    const { checkpoints, logs: logVolume, trials } = before;
    expect(await claimedVolumes()).toEqual({ checkpoints, logs: logVolume, trials });
  });

  it("comes back to the same volumes", async () => {
    const before = await claimedVolumes();
    await succeed("up", "--yes", "--skip-preview");
    expect(await claimedVolumes()).toMatchObject(before);
  });
});

function isObject({ type, custom }: StateResource): boolean {
  return custom && type.startsWith("kubernetes:");
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
}
