/** Times what the admission policies cost a sandbox: creation and deletion of pods with and without them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  ApiException,
  CoreV1Api,
  KubeConfig,
  RbacAuthorizationV1Api,
  V1Namespace,
  V1Pod,
  V1RoleBinding,
} from "@kubernetes/client-node";
import { harborPod } from "../test/support/sandbox-pods.ts";
import { type Frame, median, stack } from "./frame.ts";

const pods = 1000;
/** Requests in flight. */
const atOnce = 16;
const plain = "bench-plain";

interface Quota {
  /** Pods that the quota admitted, and pods that it allows. */
  readonly admitted: number;
  readonly hard: number;
}

interface Churn {
  /** Milliseconds of each creation. */
  readonly creations: readonly number[];
  /** Pods a second. */
  readonly created: number;
  readonly deleted: number;
}

/** Brings the stack up with a quota for all pods; the trainer's account then creates and deletes them in both namespaces. */
export async function benchAdmission(frame: Frame): Promise<string> {
  const file = join(frame.folder("stack"), "config", `${stack}.yaml`);
  writeFileSync(file, `${readFileSync(file, "utf8")}\nsandbox: { parallel_trials: ${pods} }\n`);
  frame.pulumi("stack", "up", "--yes", "--skip-preview", "-s", stack);
  const account = `system:serviceaccount:${stack}-train:trainer`;
  const config = new KubeConfig();
  config.loadFromFile(frame.environment["KUBECONFIG"] ?? "");
  const admin = config.makeApiClient(CoreV1Api);
  await admin.createNamespace({
    body: Object.assign(new V1Namespace(), { metadata: { name: plain } }),
  });
  await config.makeApiClient(RbacAuthorizationV1Api).createNamespacedRoleBinding({
    namespace: plain,
    body: Object.assign(new V1RoleBinding(), {
      metadata: { name: "trainer" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "admin" },
      subjects: [{ kind: "ServiceAccount", name: "trainer", namespace: `${stack}-train` }],
    }),
  });
  const core = asAccount(config, account).makeApiClient(CoreV1Api);
  const sandbox = `${stack}-sandbox`;
  await churn(core, plain, 50);
  await churn(core, sandbox, 50);
  const without = await churn(core, plain, pods);
  const ours = await churn(core, sandbox, pods);
  return report(ours, without, await fillQuota(admin, core, sandbox));
}

function asAccount(config: KubeConfig, account: string): KubeConfig {
  const impersonating = new KubeConfig();
  const user = config.getCurrentUser();
  const cluster = config.getCurrentCluster();
  if (!user || !cluster) throw new Error("the lab's kubeconfig has no user or cluster");
  impersonating.loadFromClusterAndUser(cluster, { ...user, impersonateUser: account });
  return impersonating;
}

async function churn(core: CoreV1Api, namespace: string, number: number): Promise<Churn> {
  const creations: number[] = [];
  const names = Array.from({ length: number }, (_, i) => `swe-${i}`);
  const creating = performance.now();
  await inParallel(names, async (name) => {
    const began = performance.now();
    await core.createNamespacedPod({ namespace, body: named(name) });
    creations.push(performance.now() - began);
  });
  const deleting = performance.now();
  await inParallel(names, async (name) => {
    await core.deleteNamespacedPod({ name, namespace, gracePeriodSeconds: 0 });
  });
  const ended = performance.now();
  return {
    creations,
    created: (1000 * number) / (deleting - creating),
    deleted: (1000 * number) / (ended - deleting),
  };
}

/** Creates more pods than the quota allows. */
async function fillQuota(admin: CoreV1Api, core: CoreV1Api, namespace: string): Promise<Quota> {
  const { spec } = await admin.readNamespacedResourceQuota({ name: "sandboxes", namespace });
  const hard = Number(spec?.hard?.["pods"]);
  const names = Array.from({ length: hard + 50 }, (_, i) => `full-${i}`);
  let admitted = 0;
  await inParallel(names, async (name) => {
    try {
      await core.createNamespacedPod({ namespace, body: named(name) });
      admitted += 1;
    } catch (error) {
      if (!(error instanceof ApiException) || error.code !== 403) throw error;
    }
  });
  return { admitted, hard };
}

function named(name: string): V1Pod {
  const pod = harborPod();
  return Object.assign(new V1Pod(), pod, { metadata: { ...pod.metadata, name } });
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

function report(ours: Churn, without: Churn, quota: Quota): string {
  const row = (name: string, { creations, created, deleted }: Churn) =>
    [
      name.padEnd(22),
      `${median(creations).toFixed(1)} ms`.padEnd(10),
      `${percentile(creations, 0.99).toFixed(1)} ms`.padEnd(10),
      `${created.toFixed(0)}/s`.padEnd(9),
      `${deleted.toFixed(0)}/s`,
    ].join("  ");
  return [
    `\n${pods} sandbox pods made and deleted by the trainer's account, ${atOnce} requests at once`,
    `${"".padEnd(22)}  median      99th        made       deleted`,
    row("with our policies", ours),
    row("without", without),
    `added: median ${(median(ours.creations) - median(without.creations)).toFixed(1)} ms, 99th percentile ${(percentile(ours.creations, 0.99) - percentile(without.creations, 0.99)).toFixed(1)} ms`,
    `quota: ${quota.admitted} pods admitted of ${quota.hard + 50} asked for, ${quota.hard} allowed`,
    "",
  ].join("\n");
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
