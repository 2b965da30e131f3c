import type { Basis } from "../host.ts";
import type { Names } from "../names.ts";
import type { Placement } from "../nodes/index.ts";
import type { Scaffold } from "../run/index.ts";
import { type Requests, requestsOf } from "../requests.ts";

/** Images that the sandbox nodes have before the first trial asks for them. */
export interface Prepull extends Placement {
  /** Name of the DaemonSet, its account and its pods. */
  readonly name: string;
  /** The agent's runtime first, then the tasks'. */
  readonly images: readonly string[];
  /** What runs beside each image; nothing of the images themselves is run. */
  readonly pauseImage: string;
  /** Of the container beside one image. */
  readonly requests: Requests;
}

/** Undefined unless the experiment asks for it. */
export function planPrepull(
  { experiment, host }: Basis,
  { names, scaffold, sandboxes }: { names: Names; scaffold: Scaffold; sandboxes: Placement },
): Prepull | undefined {
  const { enabled, images } = experiment.sandbox.prepull;
  if (!enabled) return undefined;
  const { nodeSelector, tolerations } = sandboxes;
  return {
    name: names.prepull,
    images: [...new Set([scaffold.runtimeImage, ...images])],
    pauseImage: host.images.pause,
    requests: requestsOf(1, { memory: 4, limit: 16 }),
    nodeSelector,
    tolerations,
  };
}
