/** Whether the stack's pods fit on the nodes by CPU, memory, disk and number. */
import type { Plan } from "../../plan/plan.ts";
import { isStanding, resourcesOf, type StandingPods, sum } from "../../plan/resources/index.ts";
import type { Fact } from "../../preflight/facts/fact.ts";
import type { Facts } from "../../preflight/facts/facts.ts";
import type { NodeFact } from "../../preflight/facts/nodes.ts";
import type { PodFact } from "../../preflight/facts/pods.ts";
import { admits, gpusFor, madeByKarpenter } from "../../preflight/facts/placement.ts";
import { amountOf, inGiB } from "../../preflight/facts/quantity.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

/** What a node has for the stack. */
interface Free {
  readonly node: NodeFact;
  readonly gpus: number;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly ephemeralBytes: number;
  readonly pods: number;
}

/** The workers of each Ray group: one on a node, with its CPUs and its memory, of which /dev/shm is a part. */
export const gpuNodeCapacity = defineClusterRule({
  id: "gpu-node-room",
  standsOn: ["gpu pods"],
  title: "GPU nodes with the CPUs and the memory of a Ray worker free, /dev/shm counted",
  severity: "fatal",
  consequence: "the workers would wait for a node until the rollout budget is spent",
  remedy: "set gpu_nodes.cpus and gpu_nodes.memory of the site file to what is free",
  source:
    "docs/decisions.md#c-38; https://github.com/vllm-project/vllm/issues/37982; https://github.com/volcengine/verl/issues/242",
  check: ({ plan, facts }) => {
    if (madeByKarpenter(plan)) return [];
    const known = both(facts);
    if (!known.known) return [notRead(known.reason)];
    // Pods with GPUs are counted by gpu-free.
    const pods = known.value.pods.filter(({ requests }) => requests.gpus === 0);
    const nodes = freeOn(plan, { ...known.value, pods }, (node) => gpusFor(plan, node) > 0);
    return plan.ray.groups.flatMap((group): Verdict[] => {
      const withGpus = nodes.filter(({ node }) => gpusFor(plan, node) >= group.gpus);
      // Too few of them: gpu-nodes or gpu-free says so.
      if (withGpus.length < group.replicas) return [];
      const fitting = withGpus.filter((free) => holds(free, group));
      const need = `${group.cpus} CPUs and ${inGiB(group.memoryBytes)} memory, of which /dev/shm ${inGiB(group.sharedMemoryBytes)}`;
      const expected = `${group.replicas} GPU nodes with ${need} free for a worker of group ${group.name}`;
      const best = withGpus.reduce((a, b) => (b.memoryBytes > a.memoryBytes ? b : a));
      const has = `${best.node.name} has ${Math.floor(best.cpus)} CPUs and ${inGiB(best.memoryBytes)} free`;
      if (fitting.length >= group.replicas) return [met(`${fitting.length} nodes; ${has}`)];
      return [
        {
          found: `${fitting.length} of ${withGpus.length} nodes fit; ${has}`,
          expected,
          remedy: `set gpu_nodes.cpus and gpu_nodes.memory of the site file to what is free: kubectl describe node ${best.node.name}`,
        },
      ];
    });
  },
});

/** What fits alone may not fit together: two groups of four GPUs and one node with eight, but memory for one. */
export const packing = defineClusterRule({
  id: "pods-packed",
  standsOn: ["names", "gpu pods"],
  title: "the stack's pods fit on its nodes together",
  severity: "warn",
  consequence: "some of them wait for a node until the rollout budget is spent",
  remedy:
    "add a node, or lower what the pods ask for: gpu_nodes.cpus, gpu_nodes.memory, ray.head_memory",
  source: "https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/",
  check: ({ plan, facts }) => {
    const known = both(facts);
    if (!known.known) return [notRead(known.reason)];
    const kinds = [
      ...(madeByKarpenter(plan) ? [] : [["gpu", plan.gpuPlacement] as const]),
      ["cpu", plan.ray.head] as const,
    ];
    return kinds.flatMap(([kind, placement]): Verdict[] => {
      const isOurs = (node: NodeFact) =>
        kind === "gpu" ? gpusFor(plan, node) > 0 : admits(placement, node);
      const nodes = freeOn(plan, known.value, isOurs);
      const standing = standingOn(plan, kind);
      const pods = standing.flatMap((pod) => Array.from({ length: pod.replicas }, () => pod));
      // Where one fits nowhere, or GPUs are too few in all, other rules say so.
      const isAlone = pods.some((pod) => !nodes.some((free) => holdsWithGpus(free, pod)));
      if (isAlone || sum(standing, (pod) => pod.gpus) > add(nodes, "gpus")) return [];
      const unplaced = orders.map((order) => pack(pods.toSorted(order), nodes));
      const [left] = unplaced;
      if (left === undefined || unplaced.includes(undefined)) return [];
      return [
        {
          found: `each of the ${pods.length} pods fits alone, but no order was found in which all do: ${left.what} is left over on ${nodes.length} ${kind === "gpu" ? "GPU " : ""}nodes`,
        },
      ];
    });
  },
});

/** Orders in which pods are packed: if each leaves one over, no packing is likely. */
const orders: readonly ((a: StandingPods, b: StandingPods) => number)[] = [
  (a, b) => b.gpus - a.gpus || b.memoryBytes - a.memoryBytes,
  (a, b) => b.memoryBytes - a.memoryBytes,
  (a, b) => b.cpus - a.cpus,
];

/** Puts each pod on the first node that holds it. @returns The first pod that none holds; undefined: all are placed. */
function pack(pods: readonly StandingPods[], nodes: readonly Free[]): StandingPods | undefined {
  const left = nodes.map((node) => ({ ...node }));
  return pods.find((pod) => {
    const i = left.findIndex((free) => holdsWithGpus(free, pod));
    const free = left[i];
    if (!free) return true;
    left[i] = {
      ...free,
      gpus: free.gpus - pod.gpus,
      cpus: free.cpus - pod.cpus,
      memoryBytes: free.memoryBytes - pod.memoryBytes,
      pods: free.pods - 1,
    };
    return false;
  });
}

/** The head, the proxy and what follows the run, on nodes without GPUs. */
export const cpuNodeCapacity = defineClusterRule({
  id: "cpu-node-room",
  title: "nodes of cpu_nodes.selector with capacity for the Ray head and the proxy",
  severity: "fatal",
  consequence:
    "Ray would have no head, or sandboxes no proxy: pulumi up would wait until its time is up",
  remedy:
    "correct cpu_nodes.selector in the site file, add a node, or lower ray.head_memory: kubectl get nodes --show-labels",
  source:
    "https://github.com/volcengine/verl/issues/242; https://github.com/ray-project/kuberay/issues/3414",
  check: ({ plan, facts }) => {
    const known = both(facts);
    if (!known.known) return [notRead(known.reason)];
    const placement = plan.ray.head;
    const nodes = freeOn(plan, known.value, (node) => admits(placement, node));
    const pods = standingOn(plan, "cpu");
    const [cpus, memory] = [sum(pods, (pod) => pod.cpus), sum(pods, (pod) => pod.memoryBytes)];
    const expected = `nodes of cpu_nodes.selector with ${Math.ceil(cpus)} CPUs and ${inGiB(memory)} memory free: ${pods.map(({ what }) => what).join(", ")}`;
    const unplaced = pods.find((pod) => !nodes.some((free) => holds(free, pod)));
    const total = `${nodes.length} nodes have ${Math.floor(add(nodes, "cpus"))} CPUs and ${inGiB(add(nodes, "memoryBytes"))} memory free`;
    if (unplaced) {
      const need = `${unplaced.what} (${unplaced.cpus} CPUs, ${inGiB(unplaced.memoryBytes)})`;
      return [{ found: `none of them has capacity for ${need}; ${total}`, expected }];
    }
    if (cpus > add(nodes, "cpus") || memory > add(nodes, "memoryBytes")) {
      return [{ found: total, expected }];
    }
    return [met(total)];
  },
});

/** As many sandboxes as may run at once. Fewer only wait for each other; none at all end the run. */
export const sandboxCapacity = defineClusterRule({
  id: "sandbox-room",
  title: "capacity for as many sandboxes as may run at once",
  severity: "fatal",
  consequence: "no sandbox would ever start, and every trial would end with env_setup_failed",
  remedy:
    "add nodes that sandbox_nodes.selector of the site file matches, raise their maxPods, or lower sandbox.parallel_trials",
  source: "docs/decisions.md#capacity-for-sandboxes",
  check: ({ plan, facts }) => {
    const { sandboxes } = plan;
    if (plan.nodePools.some(({ purpose }) => purpose === "sandbox")) {
      return [met("Karpenter makes nodes for them")];
    }
    const known = both(facts);
    if (!known.known) return [notRead(known.reason)];
    const { perPod, parallelTrials } = sandboxes;
    const nodes = freeOn(plan, known.value, (node) => admits(sandboxes, node));
    // Every node has them, so they take from each what the sandboxes cannot have.
    const beside = resourcesOf(plan).pods.filter(({ replicas }) => replicas === "each-node");
    const taken = (amount: (pods: (typeof beside)[number]) => number) =>
      beside.reduce((all, pods) => all + amount(pods), 0);
    const [cpus, memory] = [taken((pods) => pods.cpus), taken((pods) => pods.memoryBytes)];
    const places = nodes.map((free) => ({
      cpu: Math.floor((free.cpus - cpus) / perPod.cpus),
      memory: Math.floor((free.memoryBytes - memory) / perPod.memoryRequestBytes),
      "ephemeral storage": Math.floor(free.ephemeralBytes / perPod.ephemeralStorageBytes),
      "pods per node": free.pods - beside.length,
    }));
    const total = places.reduce(
      (all, place) => all + Math.max(0, Math.min(...Object.values(place))),
      0,
    );
    const need = `${perPod.cpus} CPUs, ${inGiB(perPod.memoryRequestBytes)} memory and ${inGiB(perPod.ephemeralStorageBytes)} ephemeral storage each`;
    const expected = `capacity for ${parallelTrials} sandboxes, ${need}`;
    const found = `capacity for ${total} on ${nodes.length} nodes`;
    if (total >= parallelTrials) return [met(found)];
    const scarce = (["cpu", "memory", "ephemeral storage", "pods per node"] as const).filter(
      (what) => places.reduce((all, place) => all + place[what], 0) < parallelTrials,
    );
    return [
      {
        found: `${found}${scarce.length > 0 && nodes.length > 0 ? `; too little ${scarce.join(", ")}` : ""}`,
        expected,
        ...(total === 0
          ? {}
          : {
              severity: "warn" as const,
              consequence:
                "the other sandboxes wait for a place, and their trials may run out of time",
            }),
      },
    ];
  },
});

/** Nodes that Karpenter may make for the stack, against what its pods ask for. */
export const nodePoolLimits = defineClusterRule({
  id: "node-pool-limits",
  title: "Karpenter pools whose limits hold the stack's pods",
  severity: "fatal",
  consequence: "Karpenter would stop before the last node",
  remedy: "raise pool.limits in the site file, or leave it out",
  source: "https://karpenter.sh/docs/concepts/nodepools/#speclimits",
  check: ({ plan }) => {
    const needs = {
      gpu: totalsOf(standingOn(plan, "gpu")),
      sandbox: {
        cpus: plan.sandboxes.parallelTrials * plan.sandboxes.perPod.cpus,
        memoryBytes: plan.sandboxes.parallelTrials * plan.sandboxes.perPod.memoryRequestBytes,
      },
    };
    return plan.nodePools.map((pool) => {
      const { cpus, memoryBytes } = needs[pool.purpose];
      const { cpu, memory } = pool.limits;
      const need = `${Math.ceil(cpus)} CPUs and ${inGiB(memoryBytes)}`;
      const found = `pool ${pool.name} may have ${cpu ?? "any number of"} CPUs and ${memory ?? "any amount of"} memory`;
      const enough =
        (cpu === undefined || amountOf(cpu) >= cpus) &&
        (memory === undefined || amountOf(memory) >= memoryBytes);
      if (enough) return met(found);
      return { found, expected: `at least ${need} in the limits of pool ${pool.name}` };
    });
  },
});

function standingOn(plan: Plan, nodes: StandingPods["nodes"]): StandingPods[] {
  return resourcesOf(plan)
    .pods.filter(isStanding)
    .filter((pods) => pods.nodes === nodes);
}

function totalsOf(pods: readonly StandingPods[]) {
  return {
    cpus: sum(pods, (one) => one.cpus),
    memoryBytes: sum(pods, (one) => one.memoryBytes),
  };
}

interface Known {
  readonly nodes: readonly NodeFact[];
  readonly pods: readonly PodFact[];
}

function both({ nodes, pods }: Facts): Fact<Known> {
  if (!nodes.known) return nodes;
  if (!pods.known) return pods;
  return { known: true, value: { nodes: nodes.value, pods: pods.value } };
}

/** What the chosen nodes have left. The stack's own pods do not count: a second `up` must not refuse itself. */
function freeOn(
  { names, gpuDemand }: Plan,
  { nodes, pods }: Known,
  isChosen: (node: NodeFact) => boolean,
): Free[] {
  const chosen = nodes.filter((node) => node.ready && node.schedulable && isChosen(node));
  const others = new Map<string, PodFact[]>(chosen.map(({ name }) => [name, []]));
  for (const pod of pods) {
    if (pod.node === undefined || pod.stack === names.stack) continue;
    others.get(pod.node)?.push(pod);
  }
  return chosen.map((node) => {
    const there = others.get(node.name) ?? [];
    const left = (resource: string, of: (pod: PodFact) => number) =>
      amountOf(node.allocatable[resource]) - there.reduce((all, pod) => all + of(pod), 0);
    return {
      node,
      gpus: left(gpuDemand.resource, ({ requests }) => requests.gpus),
      cpus: left("cpu", ({ requests }) => requests.cpus),
      memoryBytes: left("memory", ({ requests }) => requests.memoryBytes),
      ephemeralBytes: left("ephemeral-storage", ({ requests }) => requests.ephemeralBytes),
      pods: left("pods", () => 1),
    };
  });
}

function holds(node: Free, pod: { cpus: number; memoryBytes: number }): boolean {
  return node.cpus >= pod.cpus && node.memoryBytes >= pod.memoryBytes && node.pods >= 1;
}

function holdsWithGpus(node: Free, pod: StandingPods): boolean {
  return holds(node, pod) && node.gpus >= pod.gpus;
}

function add(nodes: readonly Free[], what: "gpus" | "cpus" | "memoryBytes"): number {
  return nodes.reduce((all, free) => all + free[what], 0);
}
