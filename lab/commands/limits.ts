/** What a lab simulates, and so cannot prove. */
import type { LabRecord } from "../record.ts";
import { catalogue } from "../tools/catalogue.ts";
import type { ObtainedTool } from "../tools/tool.ts";

export function realAndSimulated({ nodes }: LabRecord): readonly string[] {
  return nodes === "real" ? withRealNode : withSimulatedNodes;
}

const withRealNode: readonly string[] = [
  "real       Pulumi's engine and Kubernetes plugin; etcd, API server, controllers, scheduler, KubeRay operator;",
  "           one node: containerd, kubelet, services, name resolution, network policies. Pods run and packets flow.",
  "simulated  the size of the node and its GPUs: pods share the CPUs and the memory of this machine, and no GPU is there.",
  "           The node reaches no other network, and registries neither.",
];

const withSimulatedNodes: readonly string[] = [
  "real       Pulumi's engine and Kubernetes plugin; etcd, API server, controllers, scheduler, KubeRay operator",
  "simulated  nodes and everything on them: pods are ready at once, Jobs complete at once, no program runs,",
  "           no packet flows, volumes hold nothing. What passes here proves nothing about traffic or training.",
];

/** Lines about the tools that are not the official ones. */
export function standIns(tools: readonly ObtainedTool[]): string[] {
  return tools
    .filter(({ source }) => source === "stand-in")
    .map(({ name }) => {
      const limits = catalogue.find((tool) => tool.name === name)?.standIn?.limits ?? "";
      return `stand-in   ${name}: replaces the official plugin, which could not be downloaded; ${limits}`;
    });
}
