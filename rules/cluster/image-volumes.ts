import { admits } from "../../preflight/facts/placement.ts";
import type { NodeFact } from "../../preflight/facts/nodes.ts";
import { defineClusterRule, met, notRead } from "../rule.ts";
import { listed } from "./listed.ts";

/** How many nodes a message names. */
const shownNodes = 3;

/** First releases with image volumes at all, and with a part of an image as one; before, the part is ignored. */
const firstReleases: Readonly<Record<string, { whole: Release; part: Release }>> = {
  containerd: { whole: [2, 1], part: [2, 2] },
  "cri-o": { whole: [1, 31], part: [1, 33] },
};

type Release = readonly [major: number, minor: number];

/** The API server takes such a pod whatever the node can do, and the node says nothing. */
export const imageVolumes = defineClusterRule({
  id: "image-volumes",
  title: "nodes that mount the agent's runtime from its image",
  severity: "fatal",
  consequence: "the agent is not where the sandbox looks for it: every trial fails",
  remedy:
    "give the sandboxes' nodes containerd 2.2 or CRI-O 1.33; or, with one release less, an image that has the runtime at its root, and an empty harbor_agent.runtime_image_subpath",
  source:
    "https://github.com/containerd/containerd/pull/11578; https://github.com/bottlerocket-os/bottlerocket/issues/4755",
  check: ({ plan: { sandboxes, scaffold }, facts: { nodes } }) => {
    if (!nodes.known) return [notRead(nodes.reason)];
    const taking = nodes.value.filter((node) => !node.simulated && admits(sandboxes, node));
    // Other rules say so where there is none.
    if (taking.length === 0) return [];
    const needed = scaffold.imageSubpath === "" ? "whole" : "part";
    const able = taking.map((node) => ({ node, can: canMount(node, needed) }));
    const late = able.filter(({ can }) => can === false).map(({ node }) => node);
    if (late.length > 0) {
      const names = late.map(({ name, runtime }) => `${name} (${runtime})`);
      const lack = needed === "part" ? "a part of an image" : "an image";
      return [{ found: `${listed(names, shownNodes)} cannot mount ${lack}` }];
    }
    const unknown = able.find(({ can }) => can === undefined)?.node;
    return unknown
      ? [notRead(`what ${unknown.runtime || "the container runtime"} of ${unknown.name} can`)]
      : [
          met(
            `${taking.length} nodes: ${[...new Set(taking.map(({ runtime }) => runtime))].join(", ")}`,
          ),
        ];
  },
});

/** undefined: not known. */
function canMount({ runtime }: NodeFact, needed: "whole" | "part"): boolean | undefined {
  const [, name = "", major, minor] = /^([\w-]+):\/\/v?(\d+)\.(\d+)/.exec(runtime) ?? [];
  const first = firstReleases[name]?.[needed];
  if (!first) return undefined;
  const [firstMajor, firstMinor] = first;
  return (
    Number(major) > firstMajor || (Number(major) === firstMajor && Number(minor) >= firstMinor)
  );
}
