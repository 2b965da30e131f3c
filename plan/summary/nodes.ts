/** The lines of the run summary about nodes and frozen models. */
import { describeDemand } from "../nodes/index.ts";
import type { Plan } from "../plan.ts";

const GiB = 2 ** 30;

export function nodeRows(plan: Plan): [name: string, value: string][] {
  const { gpuDemand: demand, gpuPlacement, nodeClaim, nodePools, disruption } = plan;
  const selector = Object.entries(gpuPlacement.nodeSelector).map((entry) => entry.join("="));
  return [
    ["GPUs", `${demand.gpus} on ${demand.nodes} nodes: ${describeDemand(demand)}`],
    ["GPU nodes", selector.join(",")],
    ...(nodeClaim ? [["claimed", nodeClaim.nodes.join(", ")] satisfies [string, string]] : []),
    ...nodePools.map(({ name, limits }): [string, string] => [
      "Karpenter pool",
      `${name}, at most ${Object.entries(limits)
        .map(([resource, amount]) => `${amount} ${resource}`)
        .join(", ")}`,
    ]),
    [
      "disruption",
      disruption.mode === "never"
        ? "never: no drain takes a pod of the run"
        : "voluntary: drains may take pods; the run resumes from its newest checkpoint",
    ],
  ];
}

export function servingLines({ serving, names }: Plan): string[] {
  if (serving.length === 0) return [];
  return [
    "outside the weight sync: their weights stay those of the checkpoint",
    ...serving.flatMap((model) => [
      `${model.servedName} at http://${model.object}.${names.namespaces.train}:${model.port}/v1, for the training namespace only`,
      `  ${model.replicas} × ${model.gpus} GPUs, ${model.cpus} CPUs, ${model.memoryBytes / GiB}Gi memory, of which /dev/shm ${model.sharedMemoryBytes / GiB}Gi; up to ${model.startupMinutes} minutes to start; ${model.image}`,
      `  ${model.argv.join(" ")}`,
    ]),
  ];
}
