import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KubernetesObject } from "../support/recorder.ts";
import { projectRoot } from "../support/settings.ts";
import { recordTier } from "../support/tier.ts";
import { kubectl, list } from "./support/kubectl.ts";

/** Kinds that the reaper's rights consist of, and that sandboxes meet. */
const kinds = [
  "Namespace",
  "ServiceAccount",
  "Role",
  "RoleBinding",
  "ResourceQuota",
  "LimitRange",
] as const;
const namespaces = ["run-train", "run-sandbox"];

/** A pod as Harbor makes it, as far as the API server and the reaper care. */
const sandbox = (name: string, more: { labels?: object; spec?: object } = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name,
    namespace: "run-sandbox",
    labels: {
      app: "harbor-sandbox",
      "harbor-run": "swe-lego-live-rl",
      "harbor-owner-host": "ray-train-worker-0",
      "harbor-owner-pid": "4711",
      ...more.labels,
    },
  },
  spec: {
    restartPolicy: "Never",
    automountServiceAccountToken: false,
    activeDeadlineSeconds: 6000,
    nodeSelector: { "swe-rl.dev/pool": "sandbox" },
    tolerations: [{ operator: "Exists" }],
    containers: [
      {
        name: "main",
        image: "swe-rl.invalid/task:1",
        resources: {
          requests: { cpu: "100m", memory: "64Mi", "ephemeral-storage": "1Gi" },
          limits: { memory: "64Mi", "ephemeral-storage": "1Gi" },
        },
      },
    ],
    ...more.spec,
  },
});

const rayPod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "ray-train-worker-0",
    namespace: "run-train",
    labels: { "swe-rl.dev/stack": "run", "swe-rl.dev/role": "ray-worker" },
  },
  spec: { containers: [{ name: "ray-worker", image: "swe-rl.invalid/training:lab" }] },
};

/** The reaper's program with the real API server and the account that the Plan gives it. Nodes are simulated: no kubelet ends a pod at its deadline, which is the reaper's case. */
describe("the reaper on a control plane", () => {
  const folder = mkdtempSync(join(tmpdir(), "swe-rl-reaper-"));
  const server = () => kubectl(["config", "view", "--minify", "-o", "jsonpath={..server}"]);
  const pods = () =>
    kubectl(["get", "pods", "-n", "run-sandbox", "-o", "jsonpath={.items[*].metadata.name}"])
      .split(" ")
      .sort();

  /** Runs one round as an account, with short times. */
  const reap = (account: string, options: string[], environment: Record<string, string> = {}) => {
    writeFileSync(
      join(folder, "token"),
      kubectl(["create", "token", account, "-n", "run-train", "--duration=10m"]),
    );
    return run(
      ["python3", "-S", "-B", `${projectRoot}/runtime/reaper/reap_sandboxes.py`, ...options],
      {
        PATH: process.env["PATH"] ?? "",
        PYTHONPATH: `${projectRoot}/runtime/common`,
        API_SERVER: server(),
        ACCOUNT_DIRECTORY: folder,
        SANDBOX_NAMESPACE: "run-sandbox",
        RUN_LABEL: "harbor-run=swe-lego-live-rl",
        STACK: "run",
        OWNER_NAMESPACE: "run-train",
        OWNER_PREFIX: "ray-",
        // Nobody listens: what Ray would say stays unknown.
        RAY_JOBS_URL: "http://127.0.0.1:1",
        RAY_AUTH_TOKEN: "unused",
        DEADLINE_SECONDS: "6000",
        LONGEST_DEADLINE_SECONDS: "9000",
        STARTUP_SECONDS: "3600",
        GRACE_SECONDS: "1",
        FINISHED_SECONDS: "1",
        OWNER_GRACE_SECONDS: "1",
        ...environment,
      },
    );
  };

  beforeAll(async () => {
    const { recording } = await recordTier("", { base: "three-node" });
    const made = kinds.flatMap((kind) => recording.objects(kind));
    const needed = (object: KubernetesObject) =>
      namespaces.includes(object.metadata.namespace ?? object.metadata.name ?? "");
    kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], list(made.filter(needed)));
    kubectl(["apply", "--server-side", "-f", "-"], rayPod);
    const authority = kubectl([
      "config",
      "view",
      "--minify",
      "--raw",
      "-o",
      "jsonpath={..certificate-authority-data}{..certificate-authority}",
    ]);
    writeFileSync(
      join(folder, "ca.crt"),
      authority.startsWith("/") ? readFileSync(authority) : Buffer.from(authority, "base64"),
    );
  });
  afterAll(() => {
    // Awaited: other tests have namespaces of these names.
    kubectl(["delete", "namespace", ...namespaces, "--timeout=120s"]);
    rmSync(folder, { recursive: true, force: true });
  });

  it("deletes exactly those that outlived their purpose, after it has said so", async () => {
    const expendable = Array.from({ length: 205 }, (_, i) =>
      sandbox(`late-${i}`, { spec: { activeDeadlineSeconds: 1 } }),
    );
    const others = [
      sandbox("young"),
      sandbox("orphan", { labels: { "harbor-owner-host": "ray-train-worker-9" } }),
      sandbox("elsewhere", { labels: { "harbor-owner-host": "laptop" } }),
      sandbox("finished"),
      sandbox("another-run", {
        labels: { "harbor-run": "other" },
        spec: { activeDeadlineSeconds: 1 },
      }),
      sandbox("another-stack", {
        labels: { "swe-rl.dev/stack": "other" },
        spec: { activeDeadlineSeconds: 1 },
      }),
    ];
    kubectl(
      [
        ...["create", "-f", "-"],
        ...["--as", "system:serviceaccount:run-train:trainer", "--validate=false"],
      ],
      list([...expendable, ...others]),
    );
    const running = () =>
      kubectl(["get", "pods", "-n", "run-sandbox", "-o", "jsonpath={.items[*].status.phase}"])
        .split(" ")
        .filter((phase) => phase === "Running").length;
    await expect.poll(running, { timeout: 60_000, interval: 500 }).toBe(211);
    kubectl(
      [
        "patch",
        "pod",
        "finished",
        "-n",
        "run-sandbox",
        "--subresource=status",
        "--type=merge",
      ].concat(
        "--patch",
        JSON.stringify({ status: { phase: "Failed", reason: "DeadlineExceeded" } }),
      ),
    );
    await sleep(4000);

    const trial = await reap("sandbox-reaper", ["--once", "--dry-run"], { MOST_PER_ROUND: "500" });
    expect(trial).toMatchObject({ status: 0 });
    expect(trial.errors).toContain("would delete run-sandbox/orphan of ray-train-worker-9/4711");
    expect(pods()).toHaveLength(211);

    const first = await reap("sandbox-reaper", ["--once"], { MOST_PER_ROUND: "150" });
    expect(first).toMatchObject({ status: 0 });
    expect(first.errors).toContain("209 sandboxes, 207 to be reaped");
    expect(first.errors).toContain("150 deleted, 0 were gone already, 0 could not be deleted, 57");
    const second = await reap("sandbox-reaper", ["--once"]);
    expect(second).toMatchObject({ status: 0 });
    for (const reason of [
      /will delete run-sandbox\/late-\d+ of \S+: past its deadline of 1 s by/,
      /will delete run-sandbox\/orphan of \S+: its owner ray-train-worker-9 is gone/,
      /will delete run-sandbox\/finished of \S+: Failed \(DeadlineExceeded\) for/,
      /not known whether the run goes on/,
    ]) {
      expect(first.errors + second.errors).toMatch(reason);
    }
    await expect
      .poll(pods, { timeout: 60_000 })
      .toEqual(["another-run", "another-stack", "elsewhere", "young"]);
    const third = await reap("sandbox-reaper", ["--once"]);
    expect(third).toMatchObject({ status: 0 });
    expect(third.errors).toContain("0 to be reaped");
  });

  it("is refused where it has no rights, and says so", async () => {
    const { status, errors } = await reap("trainer", ["--once"]);
    expect(status).toBe(4);
    expect(errors).toContain("answers 403");
  });

  it("may do what it must, and nothing else", () => {
    const allowed = [...namespaces, "default"].flatMap((namespace) => {
      const review = JSON.parse(
        kubectl(
          [
            ...["create", "--raw", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"],
            ...["--as", "system:serviceaccount:run-train:sandbox-reaper", "-f", "-"],
          ],
          {
            apiVersion: "authorization.k8s.io/v1",
            kind: "SelfSubjectRulesReview",
            spec: { namespace },
          },
        ),
      ) as { status: { resourceRules: { resources: string[]; verbs: string[] }[] } };
      return review.status.resourceRules
        .filter(({ resources }) => resources.every((name) => !name.startsWith("selfsubject")))
        .map(({ resources, verbs }) => `${namespace} ${resources.join()} ${verbs.join()}`);
    });
    expect(allowed).toEqual(["run-train pods list", "run-sandbox pods list,delete"]);
  });
});

function run(
  [command = "", ...args]: string[],
  env: Record<string, string>,
): Promise<{ status: number | null; errors: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    child.once("error", reject);
    child.once("close", (status) => {
      resolve({ status, errors });
    });
  });
}
