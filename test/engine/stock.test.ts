import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { projectRoot } from "../support/settings.ts";
import { trainingEnvironment } from "../training/environment.ts";
import { kubectl } from "./support/kubectl.ts";
import { Project } from "./support/project.ts";

interface Pod {
  metadata: { name: string; labels: Record<string, string>; creationTimestamp: string };
  spec: {
    containers: {
      image: string;
      command: string[];
      env: { name: string; value?: string }[];
      volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
      resources: { limits: Record<string, string> };
    }[];
    initContainers: { name: string }[];
    nodeSelector: Record<string, string>;
    activeDeadlineSeconds: number;
    automountServiceAccountToken: boolean;
    dnsPolicy: string;
  };
  status: { phase: string };
}

const train = "stock-train";
const sandboxes = "stock-sandbox";

describe("a run with the agent loop of this project", () => {
  let project: Project;
  let folder: string;
  const pods = (namespace: string, ...more: string[]) =>
    project.objects<Pod>("pods", "-n", namespace, ...more);

  beforeAll(async () => {
    project = new Project();
    folder = mkdtempSync(join(tmpdir(), "swe-rl-stock-"));
    project.write("config/stock.yaml", "extends: single-node-stock.yaml\n");
    for (const args of [
      ["stack", "init"],
      ["up", "--yes", "--skip-preview"],
    ]) {
      const { status, output } = await project.pulumi(...args, "-s", "stock");
      if (status !== 0) throw new Error(output);
    }
  });
  afterAll(async () => {
    await project.pulumi("destroy", "--yes", "--skip-preview", "-s", "stock");
    project.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it("has image and inputs checked before Ray exists, as Ray's pods will find them", async () => {
    const [job] = await project.objects<{ status: { completionTime: string } }>(
      "jobs",
      ...["-n", train, "-l", "app.kubernetes.io/name=inputs-check"],
    );
    const [cluster] = await project.objects<Pod>("rayclusters", "-n", train);
    const done = Date.parse(job?.status.completionTime ?? "");
    expect(done).toBeLessThanOrEqual(Date.parse(cluster?.metadata.creationTimestamp ?? ""));
    const [check] = await pods(train, "-l", "app.kubernetes.io/name=inputs-check");
    const [head] = await pods(train, "-l", "ray.io/node-type=head");
    const [own, rays] = [check?.spec.containers[0], head?.spec.containers[0]];
    expect(own?.command.slice(0, 5)).toEqual([
      ...["python3", "-m", "swe_rl_training.check", "--only", "--images"],
    ]);
    expect(own?.command).toContain("verl.trainer.main_ppo");
    expect(own?.image).toBe(rays?.image);
    const mounted = (mounts: typeof own) =>
      mounts?.volumeMounts.filter(({ name }) => !/^(shm|programs|kube-api-access-.*)$/.test(name));
    expect(mounted(own)?.length).toBe(5);
    expect(mounted(own)).toEqual(expect.arrayContaining(mounted(rays) ?? []));
    for (const variable of own?.env ?? []) expect(rays?.env).toContainEqual(variable);
  });

  it("makes sandboxes under the trainer's account that the cluster admits, and leaves none", async () => {
    const { python, variables } = await trainingEnvironment();
    const [head] = await pods(train, "-l", "ray.io/node-type=head");
    const environment = Object.fromEntries(
      (head?.spec.containers[0]?.env ?? []).map(({ name, value }) => [name, value ?? "-"]),
    );
    const task = join(projectRoot, "training/tasks/sum-of-digits");
    const { status, stdout, stderr } = spawnSync(
      python,
      [
        join(projectRoot, "test/training/make_sandbox.py"),
        task,
        "docker.io/library/python:3.12.12-slim-bookworm",
      ],
      {
        encoding: "utf8",
        env: {
          ...environment,
          ...variables,
          PATH: process.env["PATH"] ?? "",
          PYTHONPATH: join(projectRoot, "training/src"),
          K8S_KUBECONFIG: kubeconfigOfTrainer(folder),
        },
      },
    );
    expect(status, stderr).toBe(0);
    const pod = JSON.parse(stdout) as Pod;
    expect(pod.status.phase).toBe("Running");
    expect(pod.metadata.labels).toMatchObject({ "harbor-run": "swe-lego-live-rl" });
    expect(pod.spec).toMatchObject({
      initContainers: [{ name: "entry-gate" }],
      nodeSelector: { "swe-rl.dev/pool": "sandbox" },
      activeDeadlineSeconds: 6000,
      automountServiceAccountToken: false,
      dnsPolicy: "None",
    });
    expect(pod.spec.containers[0]?.resources.limits["memory"]).toBe(String(32 * 2 ** 30));
    expect(await pods(sandboxes, "-l", "harbor-run")).toEqual([]);
  });
});

/** With a token of the trainer's account, and no other right. */
function kubeconfigOfTrainer(folder: string): string {
  const view = ["config", "view", "--raw", "--minify", "--output=json"];
  const config = JSON.parse(kubectl(view)) as { users: { name: string; user: object }[] };
  const token = kubectl(["create", "token", "trainer", "--namespace", train]).trim();
  const users = config.users.map(({ name }) => ({ name, user: { token } }));
  const file = join(folder, "kubeconfig.json");
  writeFileSync(file, JSON.stringify({ ...config, users }), { mode: 0o600 });
  return file;
}
