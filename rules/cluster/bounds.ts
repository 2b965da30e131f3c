/** Whether others' quotas and limits in the stack's namespaces leave enough for it. */
import type { NamespaceRole } from "../../plan/names.ts";
import type { Plan } from "../../plan/plan.ts";
import {
  resourcesOf,
  type PlannedPods,
  sum,
  type StandingPods,
} from "../../plan/resources/index.ts";
import { admits } from "../../preflight/facts/placement.ts";
import type { Facts } from "../../preflight/facts/facts.ts";
import { amountOf } from "../../preflight/facts/quantity.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

export const quotas = defineClusterRule({
  id: "quota",
  standsOn: ["names", "gpu pods"],
  title: "quotas of others that leave what the stack needs",
  severity: "fatal",
  consequence: "the API server would refuse the last pods, and the run would wait for them",
  remedy: "have the quota raised",
  source: "https://kubernetes.io/docs/concepts/policy/resource-quotas/",
  check: ({ plan, facts: { bounds, nodes } }) => {
    if (!bounds.known) return [notRead(bounds.reason)];
    const foreign = bounds.value.quotas.filter(({ stack }) => stack !== plan.names.stack);
    const findings = foreign.flatMap(({ namespace, name, scoped, hard }): Verdict[] => {
      if (scoped) return [notRead(`quota ${namespace}/${name} holds for some pods only`)];
      const needs = needsIn(plan, namespace, nodes);
      const small = Object.entries(hard).filter(
        ([resource, most]) => (needs[resource] ?? 0) > most,
      );
      if (small.length === 0) return [];
      const change = small.map(([resource]) => `"${resource}":"${needs[resource] ?? 0}"`).join(",");
      return [
        {
          found: `quota ${name} in ${namespace} allows ${small.map(([resource, most]) => `${most} ${resource}`).join(", ")}`,
          expected: `at least ${small.map(([resource]) => `${needs[resource] ?? 0} ${resource}`).join(", ")}`,
          remedy: `have it raised: kubectl patch quota ${name} -n ${namespace} --type merge -p '{"spec":{"hard":{${change}}}}'`,
        },
      ];
    });
    return findings.length > 0 ? findings : [met(`${foreign.length} quotas of others`)];
  },
});

export const limitRanges = defineClusterRule({
  id: "limit-range",
  standsOn: ["names", "gpu pods"],
  title: "limit ranges of others that admit the stack's pods",
  severity: "fatal",
  consequence: "the API server would refuse the pods",
  remedy: "have the limit range raised",
  source: "https://kubernetes.io/docs/concepts/policy/limit-range/",
  check: ({ plan, facts: { bounds } }) => {
    if (!bounds.known) return [notRead(bounds.reason)];
    const foreign = bounds.value.limitRanges.filter(({ stack }) => stack !== plan.names.stack);
    const findings = foreign.flatMap(({ namespace, name, limits }) =>
      limits.flatMap(({ type, max }): Verdict[] => {
        const largest = largestIn(plan, namespace, type);
        const small = Object.entries(max).filter(
          ([resource, most]) => (largest[resource] ?? 0) > most,
        );
        return small.map(([resource, most]) => ({
          found: `limit range ${name} in ${namespace} allows a ${type} at most ${most} ${resource}`,
          expected: `at least ${largest[resource] ?? 0} ${resource}`,
          remedy: `have it raised: kubectl edit limitrange ${name} -n ${namespace}`,
        }));
      }),
    );
    return findings.length > 0 ? findings : [met(`${foreign.length} limit ranges of others`)];
  },
});

type Amounts = Readonly<Record<string, number>>;

/** What the stack takes of a namespace, in the words of a quota. */
function needsIn(plan: Plan, namespace: string, nodes: Facts["nodes"]): Amounts {
  const namespaceRole = namespaceRoleOf(plan, namespace);
  const { sandboxes, storage, gpuDemand } = plan;
  if (namespaceRole === "sandbox") {
    // Our own quota counts pods that are still ending as well; the trials that run at once are what is needed.
    const { parallelTrials, perPod } = sandboxes;
    return resources({
      pods: parallelTrials,
      cpus: parallelTrials * perPod.cpus,
      memoryBytes: parallelTrials * perPod.memoryRequestBytes,
      memoryLimitBytes: parallelTrials * perPod.memoryLimitBytes,
    });
  }
  const here = podsIn(plan, namespaceRole).map((pods) => counted(pods, nodes));
  const gpus = sum(here, (one) => one.gpus);
  return {
    ...resources({
      pods: sum(here, () => 1),
      cpus: sum(here, (one) => one.cpus),
      memoryBytes: sum(here, (one) => one.memoryBytes),
      memoryLimitBytes: sum(here, (one) => one.memoryLimitBytes),
    }),
    ...(gpus > 0
      ? {
          [`requests.${gpuDemand.resource}`]: gpus,
          [`limits.${gpuDemand.resource}`]: gpus,
        }
      : {}),
    ...(namespaceRole === "train"
      ? {
          persistentvolumeclaims: storage.volumes.length,
          "requests.storage": storage.volumes.reduce((all, { size }) => all + amountOf(size), 0),
        }
      : {}),
  };
}

function resources(of: {
  pods: number;
  cpus: number;
  memoryBytes: number;
  memoryLimitBytes: number;
}): Amounts {
  return {
    pods: of.pods,
    "count/pods": of.pods,
    cpu: of.cpus,
    "requests.cpu": of.cpus,
    memory: of.memoryBytes,
    "requests.memory": of.memoryBytes,
    "limits.memory": of.memoryLimitBytes,
  };
}

/** The largest that one container, pod or claim of the stack asks for. */
function largestIn(plan: Plan, namespace: string, type: string): Amounts {
  const namespaceRole = namespaceRoleOf(plan, namespace);
  if (type === "PersistentVolumeClaim") {
    if (namespaceRole !== "train") return {};
    return { storage: Math.max(...plan.storage.volumes.map(({ size }) => amountOf(size))) };
  }
  if (type !== "Container" && type !== "Pod") return {};
  if (namespaceRole === "sandbox") {
    const { cpus, memoryLimitBytes } = plan.sandboxes.perPod;
    return { cpu: cpus, memory: memoryLimitBytes };
  }
  const here = podsIn(plan, namespaceRole);
  const most = (amount: (one: (typeof here)[number]) => number) => Math.max(0, ...here.map(amount));
  return {
    cpu: most((one) => one.cpus),
    memory: most((one) => one.memoryLimitBytes),
    [plan.gpuDemand.resource]: most((one) => one.gpus),
  };
}

function podsIn(plan: Plan, namespaceRole: NamespaceRole | undefined): PlannedPods[] {
  return resourcesOf(plan).pods.filter((pods) => pods.namespaceRole === namespaceRole);
}

/** With one pod on every node where that is asked for; none where the nodes are not known. */
function counted(pods: PlannedPods, nodes: Facts["nodes"]): StandingPods {
  const { replicas, placement } = pods;
  if (replicas !== "each-node") return { ...pods, replicas };
  const on = nodes.known ? nodes.value.filter((node) => admits(placement, node)) : [];
  return { ...pods, replicas: on.length };
}

function namespaceRoleOf({ names }: Plan, namespace: string): NamespaceRole | undefined {
  const entries = Object.entries(names.namespaces) as [NamespaceRole, string][];
  return entries.find(([, name]) => name === namespace)?.[0];
}
