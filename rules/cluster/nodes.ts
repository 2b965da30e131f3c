/** Whether the nodes are well, and alike where they should be. */
import type { Plan } from "../../plan/plan.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import { gpuMemoryMiB, gpuProduct, type NodeFact } from "../../preflight/facts/nodes.ts";
import { gpusFor, isOfStack, madeByKarpenter } from "../../preflight/facts/placement.ts";
import { inGiB } from "../../preflight/facts/quantity.ts";
import { listed } from "./listed.ts";
import { defineClusterRule, met, notRead } from "../rule.ts";

/** Most nodes that a message names. */
const mostNamed = 5;

export const nodesReady = defineClusterRule({
  id: "nodes-ready",
  title: "at least one ready node",
  severity: "fatal",
  consequence: "no pod would ever start",
  remedy: "see what is wrong: kubectl get nodes",
  source: "docs/decisions.md#c-25",
  check: ({ facts: { nodes } }) => {
    if (!nodes.known) return [notRead(nodes.reason)];
    const ready = nodes.value.filter((node) => node.ready);
    const found = `${ready.length} of ${nodes.value.length} nodes are ready`;
    return [ready.length > 0 ? met(found) : { found }];
  },
});

export const nodesFit = defineClusterRule({
  id: "nodes-fit",
  title: "the stack's nodes ready, without pressure on disk, memory or process ids",
  severity: "warn",
  consequence: "pods would be evicted from them, or wait for other nodes",
  remedy: "see what is wrong: kubectl describe node NAME",
  source: "docs/decisions.md#c-38",
  check: ({ plan, facts: { nodes } }) => {
    if (!nodes.known) return [notRead(nodes.reason)];
    const ill = nodes.value.filter(
      (node) => isOfStack(plan, node) && (!node.ready || node.pressures.length > 0),
    );
    if (ill.length === 0) return [met("none of the stack's nodes complains")];
    const names = ill.map(({ name, ready, pressures }) =>
      ready ? `${name} reports ${pressures.join(", ")}` : `${name} is not ready`,
    );
    const [first] = ill;
    return [
      {
        found: listed(names, mostNamed),
        remedy: `look at what is wrong: kubectl describe node ${first?.name ?? ""}; free its disk or memory, or repair it`,
      },
    ];
  },
});

/** What the GPU feature discovery says of nodes whose GPUs are handed out several times (0.17). */
const sharing = "nvidia.com/gpu.sharing-strategy";

export const gpuShared = defineClusterRule({
  id: "gpu-shared",
  standsOn: ["gpu pods"],
  title: "GPUs that no node hands out more than once",
  severity: "fatal",
  consequence: "two ranks get the same GPU, which NCCL refuses (Duplicate GPU detected)",
  remedy:
    "select nodes without sharing in gpu_nodes.selector, or switch time-slicing and MPS off in the device plugin's configuration",
  source: "https://github.com/NVIDIA/k8s-device-plugin#shared-access-to-gpus",
  check: ({ plan, facts: { nodes } }) => {
    if (madeByKarpenter(plan) || plan.gpuDemand.gpusPerNode < 2) return [];
    if (!nodes.known) return [notRead(nodes.reason)];
    const shared = usable(plan, nodes.value).filter(
      ({ labels }) => (labels[sharing] ?? "none") !== "none",
    );
    if (shared.length === 0) return [];
    const names = shared.map(({ name, labels }) => `${name} (${labels[sharing] ?? ""})`);
    return [{ found: `GPUs are shared on ${listed(names, mostNamed)}` }];
  },
});

export const gpuProducts = defineClusterRule({
  id: "gpu-products",
  title: "GPU nodes of one product",
  severity: "warn",
  consequence:
    "all ranks wait for the slowest GPU, and what fits the memory of one may not fit another",
  remedy:
    "select one product in the site file: gpu_nodes.selector: { nvidia.com/gpu.product: NAME }",
  source: "docs/decisions.md#c-39",
  check: ({ plan, facts: { nodes } }) => {
    if (madeByKarpenter(plan)) return [];
    if (!nodes.known) return [notRead(nodes.reason)];
    const products = new Map<string, string[]>();
    for (const node of usable(plan, nodes.value)) {
      const product = gpuProduct(node);
      if (product === undefined) {
        return [notRead(`node ${node.name} has no label nvidia.com/gpu.product`)];
      }
      products.set(product, [...(products.get(product) ?? []), node.name]);
    }
    const found = [...products]
      .map(([product, names]) => `${product} (${listed(names, mostNamed)})`)
      .join(", ");
    // No node at all: gpu-nodes says so.
    if (products.size === 0) return [];
    return [products.size === 1 ? met(found) : { found }];
  },
});

/** Share of the memory that the site says below which a GPU is another one: drivers and ECC keep less for themselves. */
const sameGpu = 0.95;

/** Where the site does not say, the rule gpu-memory has it unknown. */
export const gpuNodeMemory = defineClusterRule({
  id: "gpu-node-memory",
  title: "GPUs with the memory that gpu_nodes.gpu_memory of the site says, less 5 % at most",
  severity: "fatal",
  consequence:
    "the run was sized for larger GPUs: trainer or rollout would run out of memory, perhaps hours into it",
  remedy:
    "set gpu_nodes.gpu_memory of the site file to what nvidia-smi shows, or select other nodes with gpu_nodes.selector",
  source: "https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery",
  check: ({ host, plan, facts: { nodes } }) => {
    const { gpu_memory: size } = host.gpu_nodes;
    if (madeByKarpenter(plan) || size === undefined) return [];
    if (!nodes.known) return [notRead(nodes.reason)];
    const said = bytesOf(size);
    const smaller: string[] = [];
    const unlabelled: string[] = [];
    const gpus = usable(plan, nodes.value);
    for (const node of gpus) {
      const bytes = (gpuMemoryMiB(node) ?? Number.NaN) * 2 ** 20;
      if (Number.isNaN(bytes)) unlabelled.push(node.name);
      else if (bytes < said * sameGpu) smaller.push(`${node.name} has ${inGiB(bytes)}`);
    }
    if (smaller.length > 0)
      return [{ found: `${listed(smaller, mostNamed)}; the site says ${size}` }];
    const [first] = unlabelled;
    if (first !== undefined) return [notRead(`node ${first} has no label nvidia.com/gpu.memory`)];
    // No node at all: gpu-nodes says so.
    return gpus.length === 0 ? [] : [met(`${size} or more on ${gpus.length} nodes`)];
  },
});

function usable(plan: Plan, nodes: readonly NodeFact[]): readonly NodeFact[] {
  return nodes.filter(
    ({ name, ...node }) =>
      node.ready &&
      gpusFor(plan, { name, ...node }) > 0 &&
      (plan.nodeClaim?.nodes.includes(name) ?? true),
  );
}
