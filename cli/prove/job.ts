/** The Job of the egress proof, made once more from the one that `pulumi up` has made. */
import {
  BatchV1Api,
  CoreV1Api,
  KubeConfig,
  V1Job,
  V1ObjectMeta,
  type V1Pod,
} from "@kubernetes/client-node";
import type { Access } from "../../preflight/facts/client.ts";

export interface Apis {
  readonly core: CoreV1Api;
  readonly batch: BatchV1Api;
}

export function apisOf({ context }: Access): Apis {
  const config = new KubeConfig();
  config.loadFromDefault();
  config.setCurrentContext(context);
  return { core: config.makeApiClient(CoreV1Api), batch: config.makeApiClient(BatchV1Api) };
}

/** Whether any node is one that KWOK pretends: pods complete there without having run. */
export async function hasSimulatedNodes({ core }: Apis): Promise<boolean> {
  const { items } = await core.listNode();
  return items.some(({ metadata }) => metadata?.annotations?.["kwok.x-k8s.io/node"] !== undefined);
}

/** Labels that the Job controller gives to each Job and its pods by itself. */
const given = /^(batch\.kubernetes\.io\/)?(controller-uid|job-name)$/;

/** The same proof under another name: what Kubernetes has written into the old one, or Pulumi, stays behind. */
export function again({ metadata, spec }: V1Job, name: string): V1Job {
  const job = new V1Job();
  job.apiVersion = "batch/v1";
  job.kind = "Job";
  job.metadata = new V1ObjectMeta();
  job.metadata.name = name;
  job.metadata.labels = own(metadata?.labels);
  if (!spec) throw new Error("the Job has no specification");
  delete spec.selector;
  delete spec.manualSelector;
  // It stays for a look at its logs, and not for ever.
  spec.ttlSecondsAfterFinished = 3600;
  if (spec.template.metadata) spec.template.metadata.labels = own(spec.template.metadata.labels);
  job.spec = spec;
  return job;
}

function own(labels: Record<string, string> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !given.test(key)));
}

export interface Ended {
  readonly code: number;
  /** What the pod said of it. */
  readonly message: string;
  readonly node: string;
}

/** How the pod that proves has ended; undefined while it runs. */
export function endOf(pods: readonly V1Pod[]): Ended | undefined {
  const failed = pods.map(failure).find((ended) => ended !== undefined);
  if (failed) return failed;
  const prover = pods.find(
    ({ metadata }) => metadata?.annotations?.["batch.kubernetes.io/job-completion-index"] === "0",
  );
  const terminated = prover?.status?.containerStatuses?.[0]?.state?.terminated;
  if (!prover || !terminated) return undefined;
  // A container that never ran has no message, and an exit code of 0 without one proves nothing.
  const message = terminated.message ?? "";
  const code = terminated.exitCode === 0 && !message.startsWith("proven") ? 4 : terminated.exitCode;
  return { code, message: message || "the proof's pod left no verdict", node: nodeOf(prover) };
}

/** A gate that stayed shut, or a pod that could not start. */
function failure(pod: V1Pod): Ended | undefined {
  for (const status of pod.status?.initContainerStatuses ?? []) {
    const terminated = status.state?.terminated;
    if (!terminated || terminated.exitCode === 0) continue;
    const said = terminated.message ?? `exit code ${terminated.exitCode}`;
    const code = terminated.exitCode === 3 ? 3 : 4;
    return { code, message: `${status.name}: ${said}`, node: nodeOf(pod) };
  }
  if (pod.status?.phase === "Failed" && !pod.status.containerStatuses?.[0]?.state?.terminated) {
    return {
      code: 4,
      message: `${pod.status.reason ?? "Failed"}: ${pod.status.message ?? ""}`,
      node: nodeOf(pod),
    };
  }
  return undefined;
}

function nodeOf({ spec }: V1Pod): string {
  return spec?.nodeName ?? "no node";
}
