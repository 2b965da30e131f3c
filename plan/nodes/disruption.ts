import type { Basis } from "../host.ts";

/** What Karpenter may do to the nodes of a stack's own pools. */
export interface PoolDisruption {
  /** A node that expires is drained on its own clock, whatever the budgets say. */
  readonly expireAfter: "Never";
  /** Never consolidates nodes in use: moving a run costs more than the nodes. */
  readonly consolidationPolicy: "WhenEmpty";
  /** Longer than the pods of a changed Ray cluster take to come back. */
  readonly consolidateAfter: string;
  readonly budgets: readonly {
    readonly nodes: string;
    readonly reasons?: readonly ("Empty" | "Drifted" | "Underutilized")[];
  }[];
}

/** One decision, and everything on the cluster that follows from it. */
export interface Disruption {
  readonly mode: Basis["experiment"]["disruption"];
  /** Whether a drain may take no pod of Ray; else as many as it likes. */
  readonly holdsRay: boolean;
  /** Pods of one frozen model that a drain may take at once. */
  readonly frozenModelMaxUnavailable: number;
  /** Recorder pods, of which there is one, that a drain may take: agents repeat the calls that this breaks. */
  readonly recorderMaxUnavailable: number;
  /** Annotations of the pods of Ray and of the frozen models. */
  readonly podAnnotations: Readonly<Record<string, string>>;
  readonly pool: PoolDisruption;
}

const pool = {
  expireAfter: "Never",
  consolidationPolicy: "WhenEmpty",
  consolidateAfter: "10m",
} as const;

/**
 * An experiment's setting, not a site's: it says what one run can bear, and a smoke run bears more than a week of
 * training on the same cluster.
 */
export function planDisruption({ experiment }: Basis): Disruption {
  const mode = experiment.disruption;
  switch (mode) {
    case "never":
      return {
        mode,
        // A run does not survive the loss of its head or of a worker (kuberay#2153, #3860).
        holdsRay: true,
        frozenModelMaxUnavailable: 0,
        recorderMaxUnavailable: 0,
        podAnnotations: {
          "karpenter.sh/do-not-disrupt": "true",
          "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        },
        pool: {
          ...pool,
          budgets: [
            { nodes: "0", reasons: ["Drifted", "Underutilized"] },
            { nodes: "100%", reasons: ["Empty"] },
          ],
        },
      };
    case "voluntary":
      return {
        mode,
        holdsRay: false,
        frozenModelMaxUnavailable: 1,
        recorderMaxUnavailable: 1,
        podAnnotations: { "cluster-autoscaler.kubernetes.io/safe-to-evict": "true" },
        pool: { ...pool, budgets: [{ nodes: "1" }] },
      };
  }
}
