/** What a lab simulates, and so cannot prove. */
import { catalogue } from "../tools/catalogue.ts";
import type { ObtainedTool } from "../tools/tool.ts";

export const realAndSimulated: readonly string[] = [
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
