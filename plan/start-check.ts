import type { NodePool } from "./nodes/index.ts";
import { type Requests, requestsOf } from "./requests.ts";

/** How `up` waits for what it has made to start, and ends where it cannot. */
export interface StartCheck {
  /** Image with Python 3: not that of the pods which it waits for, whose pull may fail. */
  readonly image: string;
  /** Of the pod that looks. */
  readonly requests: Requests;
  /**
   * Seconds for which a pod may be without a node; undefined: as long as autoscalers of others may need. Where the stack
   * has pools of its own, GPU nodes may take all of the time to be had.
   */
  readonly nodeSeconds: number | undefined;
}

export function planStartCheck(parts: {
  image: string;
  nodePools: readonly NodePool[];
  rolloutMinutes: number;
}): StartCheck {
  return {
    image: parts.image,
    requests: requestsOf(50, { memory: 64, limit: 256 }),
    nodeSeconds: parts.nodePools.length > 0 ? parts.rolloutMinutes * 60 : undefined,
  };
}
