/** Whether the nodes have capacity for the stack's GPU pods, and which pods hold it. */
import { bestFit, describeDemand, type GpuDemand, sizesOf } from "../../plan/nodes/index.ts";
import type { Plan } from "../../plan/plan.ts";
import type { NodeFact } from "../../preflight/facts/nodes.ts";
import type { PodFact } from "../../preflight/facts/pods.ts";
import {
  claimOf,
  gpusFor,
  madeByKarpenter,
  matches,
  tolerates,
} from "../../preflight/facts/placement.ts";
import { gpuNodeClaim } from "./gpu-claim.ts";
import { listed } from "./listed.ts";
import { defineClusterRule, isBreach, met, notRead } from "../rule.ts";

/** Most nodes that a message names. */
const mostNamed = 8;

/** A node that has the labels and GPUs that the stack's pods ask for, and is ready. */
interface Candidate {
  readonly node: NodeFact;
  readonly gpus: number;
  /** GPUs that the stack's pods could get. */
  free: number;
  /** What other pods have of it, or wait for. */
  readonly held: Map<string, number>;
  /** Why none of its GPUs can be had, apart from who holds them. */
  readonly closed: string | undefined;
}

/**
 * The stack's pods fit beside what others hold. Its own pods do not count, so that a second `up` does not refuse
 * itself. Two stacks that come up in the same moment can both pass; the pods of one then wait.
 */
export const gpuFree = defineClusterRule({
  id: "gpu-free",
  standsOn: ["names", "gpu pods"],
  title: "GPUs for every pod of the stack that no other pod holds",
  severity: "fatal",
  consequence: "its pods would wait for GPUs until the rollout budget is spent",
  remedy: "end another run, or add GPU nodes that gpu_nodes.selector of the site file matches",
  source: "docs/decisions.md#c-04; docs/decisions.md#c-05",
  check: (subject) => {
    const { plan, facts } = subject;
    const { nodes, pods } = facts;
    const { gpuDemand: demand, names } = plan;
    const expected = `free GPUs for ${names.stack}: ${describeDemand(demand)}`;
    if (madeByKarpenter(plan)) return [met("Karpenter makes the GPU nodes when pods need them")];
    if (!nodes.known) return [notRead(nodes.reason, expected)];
    if (!pods.known) return [notRead(pods.reason, expected)];
    const withGpus = pods.value.filter(({ requests }) => requests.gpus > 0);
    const others = withGpus.filter(({ stack }) => stack !== names.stack);
    const all = candidatesOf(plan, nodes.value, withGpus);
    // Too few nodes even if all were free: gpu-nodes says so. A claim that cannot be had: gpu-node-claim does.
    const tooFew = plan.ray.groups.some(
      (group) => all.filter(({ gpus }) => gpus >= group.gpus).length < group.replicas,
    );
    if (tooFew || Array.from(gpuNodeClaim.check(subject)).some(isBreach)) return [];
    const candidates = all.filter(({ node }) => plan.nodeClaim?.nodes.includes(node.name) ?? true);
    const total = candidates.reduce((sum, { gpus }) => sum + gpus, 0);
    const whole = candidates.filter(({ free }) => free >= demand.gpusPerNode).length;
    const found = `of ${candidates.length} GPU nodes (${total} GPUs) ${whole} ${whole === 1 ? "is" : "are"} free`;
    if (fits(demand, candidates)) return [met(found)];
    const taken = candidates.filter(({ held, closed }) => held.size > 0 || closed !== undefined);
    const stacks = stacksThatHold(taken, others);
    return [
      {
        found: `${names.stack} needs ${describeNeed(demand)}; ${found}${describeTaken(taken)}`,
        expected,
        remedy: [
          ...(stacks.length > 0
            ? [
                `end another run: ${stacks.map((stack) => `pulumi destroy -s ${stack}`).join(" or ")}`,
              ]
            : []),
          ...(taken.length > 0 ? ["wait until they are free"] : []),
          "add GPU nodes that gpu_nodes.selector of the site file matches",
        ].join("; or "),
      },
    ];
  },
});

function candidatesOf(
  plan: Plan,
  nodes: readonly NodeFact[],
  pods: readonly PodFact[],
): Candidate[] {
  const own = pods.filter(({ stack }) => stack === plan.names.stack);
  const others = pods.filter((pod) => !own.includes(pod));
  const candidates = nodes
    .filter(({ ready }) => ready)
    .map((node): Candidate => {
      const gpus = gpusFor(plan, node);
      const closed = closedBy(node, plan);
      // What the stack has on a closed node it keeps.
      const kept = own
        .filter((pod) => pod.node === node.name)
        .reduce((sum, pod) => sum + pod.requests.gpus, 0);
      return { node, gpus, free: closed === undefined ? gpus : kept, held: new Map(), closed };
    })
    .filter(({ gpus }) => gpus > 0);
  for (const pod of others) {
    const candidate = candidates.find(({ node }) => node.name === pod.node);
    if (candidate) hold(candidate, pod);
  }
  // Pods that wait will be served first. One that fits nowhere takes nothing.
  const waiting = others
    .filter(({ node }) => node === undefined)
    .sort((a, b) => b.requests.gpus - a.requests.gpus);
  for (const pod of waiting) {
    const open = candidates.filter(
      ({ node }) =>
        matches(node, Object.entries(pod.nodeSelector)) && tolerates(pod.tolerations, node),
    );
    const chosen = bestFit(
      open.map(({ free }) => free),
      pod.requests.gpus,
    );
    const candidate = chosen === undefined ? undefined : open[chosen];
    if (candidate) hold(candidate, pod);
  }
  return candidates;
}

function hold(candidate: Candidate, pod: PodFact): void {
  const owner = ownerOf(pod);
  const { gpus } = pod.requests;
  candidate.held.set(owner, (candidate.held.get(owner) ?? 0) + gpus);
  candidate.free = Math.max(0, candidate.free - gpus);
}

function closedBy(node: NodeFact, { gpuPlacement, names }: Plan): string | undefined {
  const claimed = claimOf(node);
  if (claimed !== undefined && claimed !== names.stack) return `is claimed by ${claimed}`;
  if (!node.schedulable) return "is cordoned";
  if (tolerates(gpuPlacement.tolerations, node)) return undefined;
  return `has a taint that the pods do not tolerate (${node.taints.map(({ key }) => key).join(", ")})`;
}

function fits({ pods }: GpuDemand, candidates: readonly Candidate[]): boolean {
  const free = candidates.map((candidate) => candidate.free);
  return sizesOf(pods).every((size) => {
    const node = bestFit(free, size);
    if (node === undefined) return false;
    free[node] = (free[node] ?? 0) - size;
    return true;
  });
}

function ownerOf({ stack, namespace, node }: PodFact): string {
  return `${node === undefined ? "waiting " : ""}${stack ?? `namespace ${namespace}`}`;
}

/** `2 nodes with 8 free GPUs and 1 × 4 GPUs for frozen model judge` */
function describeNeed({ pods, gpusPerNode }: GpuDemand): string {
  const nodes = pods
    .filter(({ gpus }) => gpus === gpusPerNode)
    .reduce((sum, { replicas }) => sum + replicas, 0);
  return [
    `${nodes} ${nodes === 1 ? "node" : "nodes"} with ${gpusPerNode} free GPUs`,
    ...pods
      .filter(({ gpus }) => gpus !== gpusPerNode)
      .map(({ what, replicas, gpus }) => `${replicas} × ${gpus} GPUs for ${what}`),
  ].join(" and ");
}

function describeTaken(taken: readonly Candidate[]): string {
  if (taken.length === 0) return "";
  const named = taken.slice(0, mostNamed).map(({ node, held, closed }) => {
    const holders = [...held].map(([name, gpus]) => `${name} (${gpus})`);
    return `${node.name} ${closed ?? `is held by ${holders.join(" and ")}`}`;
  });
  const more = taken.length - named.length;
  return `: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Stacks whose end would free GPUs. */
function stacksThatHold(taken: readonly Candidate[], others: readonly PodFact[]): string[] {
  const stacks = others
    .filter((pod) => taken.some(({ held }) => held.has(ownerOf(pod))))
    .flatMap(({ stack }) => (stack === undefined ? [] : [stack]));
  const claims = taken.flatMap(({ node }) => claimOf(node) ?? []);
  return [...new Set([...stacks, ...claims])].sort();
}

/** Kubernetes gives a GPU to one pod; the container runtime gives it to whoever names it. */
export const gpuUnrequested = defineClusterRule({
  id: "gpu-unrequested",
  standsOn: ["gpu pods"],
  title: "no pod on the GPU nodes that sees GPUs without having asked for them",
  severity: "warn",
  consequence: "what it takes of a GPU's memory the run does not have, and ends out of memory",
  remedy:
    "end that pod, or have it ask for its GPUs: kubectl get pods -A --field-selector spec.nodeName=NODE",
  source: "docs/decisions.md#c-04",
  check: ({ plan, facts: { nodes, pods } }) => {
    if (madeByKarpenter(plan)) return [];
    if (!nodes.known) return [notRead(nodes.reason)];
    if (!pods.known) return [notRead(pods.reason)];
    const ours = new Set(
      nodes.value.filter((node) => gpusFor(plan, node) > 0).map(({ name }) => name),
    );
    const found = pods.value.flatMap(({ node = "", namespace, seesGpus }) =>
      seesGpus !== undefined && ours.has(node)
        ? [`container ${seesGpus} of a pod in ${namespace} on ${node}`]
        : [],
    );
    if (found.length === 0) return [met("none")];
    return [{ found: listed(found, mostNamed) }];
  },
});
