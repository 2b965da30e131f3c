import type { NamespaceRole } from "../names.ts";
import { proofPods } from "../network/index.ts";
import type { Placement } from "../nodes/index.ts";
import type { Plan } from "../plan.ts";
import { guaranteed, type Requests } from "../requests.ts";

/** Pods of one kind, as one object makes them; Harbor makes the sandboxes beside them. */
export interface PlannedPods extends Requests {
  /** As messages call them. */
  readonly what: string;
  readonly namespaceRole: NamespaceRole;
  /** `each-node`: one on every node of its placement. */
  readonly replicas: number | "each-node";
  readonly gpus: number;
  /** Images of their containers and image volumes. */
  readonly images: readonly string[];
  /** Nodes of the site by purpose. */
  readonly nodes: "cpu" | "gpu" | "sandbox";
  readonly placement: Placement;
  /** `proof`: they end before training starts. */
  readonly lifetime: "stack" | "proof";
}

/** Pods with a number that the Plan fixes, for the stack's whole life. */
export type StandingPods = PlannedPods & { readonly replicas: number };

type Parts = Omit<PlannedPods, keyof Requests | "what" | "replicas"> & {
  readonly replicas?: number;
};

export function podsOf(plan: Plan): PlannedPods[] {
  const { names, ray, proxy, serving, gpuPlacement, isolation, prepull, trainer } = plan;
  const cpu: Parts = {
    namespaceRole: "train",
    gpus: 0,
    images: [trainer.image],
    nodes: "cpu",
    placement: ray.head,
    lifetime: "stack",
  };
  const one = (
    what: string,
    requests: Requests,
    parts: Partial<PlannedPods> = {},
  ): PlannedPods => ({
    replicas: 1,
    ...cpu,
    what,
    cpus: requests.cpus,
    memoryBytes: requests.memoryBytes,
    memoryLimitBytes: requests.memoryLimitBytes,
    ...parts,
  });
  const gpu = { nodes: "gpu", placement: gpuPlacement } as const;
  const sandbox = { nodes: "sandbox", placement: plan.sandboxes } as const;
  return [
    one("the Ray head", guaranteed(ray.head), { images: [ray.image] }),
    one("the trainer's submitter", trainer.submitterRequests),
    one("the reaper", plan.reaper.requests),
    ...[isolation.allowedTarget, isolation.decoy].map(({ namespaceRole }) =>
      one("a listener of the egress proof", isolation.listenerRequests, {
        namespaceRole,
        images: [isolation.image],
      }),
    ),
    ...(proxy.mode === "litellm"
      ? [
          one(
            "the recorder",
            largest(guaranteed(proxy.recorder), proxy.recorder.discoveryRequests),
          ),
          one("LiteLLM", largest(guaranteed(proxy), proxy.waitRequests), {
            namespaceRole: "proxy",
            replicas: proxy.replicas,
            images: [proxy.image],
          }),
        ]
      : []),
    ...(proxy.mode === "litellm"
      ? [one("the check of the rollout servers", plan.policyCheck.requests)]
      : []),
    one("the check of the policy", plan.policyCheck.requests),
    ...startChecksOf(plan).map((what) =>
      one(what, plan.startCheck.requests, { images: [plan.startCheck.image] }),
    ),
    ...(trainer.check ? [one("the check of the inputs", trainer.check.requests)] : []),
    ...ray.groups.map((group) =>
      one(`Ray group ${group.name}`, guaranteed(group), {
        ...gpu,
        replicas: group.replicas,
        gpus: group.gpus,
        images: [ray.image],
      }),
    ),
    ...serving.map((model) =>
      one(`frozen model ${model.name}`, guaranteed(model), {
        ...gpu,
        replicas: model.replicas,
        gpus: model.gpus,
        images: [model.image],
      }),
    ),
    ...(prepull
      ? [
          one(names.prepull, times(prepull.images.length, prepull.requests), {
            ...sandbox,
            placement: prepull,
            replicas: "each-node",
            images: [prepull.pauseImage, ...prepull.images],
          }),
        ]
      : []),
    ...(isolation.requireProof
      ? [
          one("the egress proof", isolation.proofRequests, {
            ...sandbox,
            namespaceRole: "sandbox",
            replicas: proofPods,
            images: [isolation.image],
            lifetime: "proof",
          }),
        ]
      : []),
  ];
}

function startChecksOf({ trainer }: Plan): string[] {
  const checks = ["the wait for Ray and the trainer", "the wait for all that serves"];
  return trainer.check ? ["the wait for the check of the inputs", ...checks] : checks;
}

/** Images that pods of one placement name, by the Plan's references. */
export interface PlannedImages extends Pick<PlannedPods, "images" | "nodes" | "placement"> {
  /** Whose they are, as messages call them. */
  readonly what: string;
}

/**
 * The images of every pod: of those that the stack makes, and of the sandboxes that Harbor makes, but for the tasks',
 * which only the indexes name.
 */
export function imagesOf(plan: Plan): PlannedImages[] {
  return [
    ...podsOf(plan).map(({ what, images, nodes, placement }) => ({
      what,
      images,
      nodes,
      placement,
    })),
    {
      what: "a sandbox",
      images: sandboxImages(plan),
      nodes: "sandbox" as const,
      placement: plan.sandboxes,
    },
  ];
}

/** The entry gate, the agent's runtime, and the firewall beside them where the profile has one. */
function sandboxImages({ isolation, scaffold, trainer }: Plan): string[] {
  const firewall = trainer.environment.flatMap((variable) =>
    variable.name === "HARBOR_NETADMIN_IMAGE" && "value" in variable ? [variable.value] : [],
  );
  return [isolation.gate.image, scaffold.runtimeImage, ...firewall].filter((image) => image !== "");
}

/** Init containers run before the others, so a pod asks for the larger of both. */
function largest(main: Requests, init: Requests): Requests {
  return {
    cpus: Math.max(main.cpus, init.cpus),
    memoryBytes: Math.max(main.memoryBytes, init.memoryBytes),
    memoryLimitBytes: Math.max(main.memoryLimitBytes, init.memoryLimitBytes),
  };
}

function times(containers: number, requests: Requests): Requests {
  return {
    cpus: containers * requests.cpus,
    memoryBytes: containers * requests.memoryBytes,
    memoryLimitBytes: containers * requests.memoryLimitBytes,
  };
}

export function isStanding(pods: PlannedPods): pods is StandingPods {
  return pods.lifetime === "stack" && pods.replicas !== "each-node";
}

/** An amount of several kinds of pods together, over all replicas. */
export function sum(pods: readonly StandingPods[], amount: (pods: StandingPods) => number): number {
  return pods.reduce((total, one) => total + one.replicas * amount(one), 0);
}
