import type { Basis } from "./host.ts";

/** The three namespaces of an experiment, by what lives in them. */
export const namespaceRoles = ["train", "proxy", "sandbox"] as const;
export type NamespaceRole = (typeof namespaceRoles)[number];

/** Every name that a run has outside the program. */
export interface Names {
  readonly stack: string;
  /** Project of the tracker, and first directory level of every output. */
  readonly project: string;
  /** Name of the run, and second directory level of every output. */
  readonly run: string;
  readonly namespaces: Readonly<Record<NamespaceRole, string>>;
  /** Objects of the whole cluster that bound the sandboxes. */
  readonly sandboxAdmission: string;
  readonly priorityClass: string;
  readonly rayCluster: string;
  /** Service that KubeRay makes for the head. */
  readonly rayHeadService: string;
  readonly trainerJob: string;
  /** ServiceAccount under which Ray's pods start sandboxes. */
  readonly trainerServiceAccount: string;
  readonly proxy: string;
  readonly recorder: string;
  readonly policyCheck: string;
  /** Job that waits for the rollout servers, before the recorder and LiteLLM. */
  readonly rolloutCheck: string;
  /** Job that checks image, model and task indexes before Ray starts. */
  readonly inputsCheck: string;
  /** Job that waits for it. */
  readonly inputsStart: string;
  /** Job that waits for Ray and the trainer. */
  readonly trainingStart: string;
  /** Job that waits for all that serves: recorder, LiteLLM, frozen models, reaper. */
  readonly servicesStart: string;
  /** Job that shows what sandboxes reach. */
  readonly egressProof: string;
  /** Listener at the proxy's place, the allowed target of the egress proof. */
  readonly allowedTarget: string;
  /** Listener at Ray's place, a decoy that the egress proof must not reach. */
  readonly decoy: string;
  /** NetworkPolicy of each namespace that denies what no flow allows. */
  readonly defaultDeny: string;
  /** ResourceQuota and LimitRange of the sandbox namespace. */
  readonly sandboxBounds: string;
  /** ServiceAccount that Harbor's pods run under: the one that Kubernetes creates with the namespace. */
  readonly sandboxServiceAccount: string;
  readonly reaper: string;
  readonly prepull: string;
}

/** Kubernetes' limit for a namespace and for a label value. */
const longestLabel = 63;

/** Longest name of a stack whose namespaces (`<stack>-sandbox`) Kubernetes still takes. */
export const longestStackName =
  longestLabel - Math.max(...namespaceRoles.map((name) => `-${name}`.length));

export function planNames({ stack, experiment }: Basis): Names {
  const run = experiment.experiment.exp_name || stack;
  return {
    stack,
    project: experiment.experiment.project_name,
    run,
    namespaces: { train: `${stack}-train`, proxy: `${stack}-proxy`, sandbox: `${stack}-sandbox` },
    sandboxAdmission: `${stack}-sandbox`,
    priorityClass: priorityClassOf(stack),
    rayCluster: "ray",
    rayHeadService: "ray-head-svc",
    trainerJob: "trainer",
    trainerServiceAccount: "trainer",
    proxy: "litellm",
    recorder: "recorder",
    policyCheck: "policy-check",
    rolloutCheck: "rollout-check",
    inputsCheck: "inputs-check",
    inputsStart: "inputs-start",
    trainingStart: "training-start",
    servicesStart: "services-start",
    egressProof: "egress-proof",
    allowedTarget: "proof-door",
    decoy: "proof-ray",
    defaultDeny: "default-deny",
    sandboxBounds: "sandboxes",
    sandboxServiceAccount: "default",
    reaper: "sandbox-reaper",
    prepull: "image-prepull",
  };
}

/** PersistentVolume of a volume that the stack makes itself; cluster-wide, so the stack's name is in front. */
export function persistentVolumeOf(stack: string, volume: string): string {
  return `${stack}-${volume}`;
}

/** Deployment, Service and ServiceAccount of a frozen model. */
export function frozenModelOf(model: string): string {
  return `frozen-${model}`;
}

/** Karpenter NodePool of a stack. */
export function nodePoolOf(stack: string, purpose: "gpu" | "sandbox"): string {
  return `${stack}-${purpose}`;
}

/** Annotation of volumes that a run writes: its directory below them. */
export const runAnnotation = "swe-rl.dev/run-directory";

/** Directory of a run below each of its volumes. */
export function runDirectory({ project, run }: Pick<Names, "project" | "run">): string {
  return `${project}/${run}`;
}

/** NetworkPolicy that admits the sandboxes at a listener's open ports. */
export function canaryPolicyOf(listener: string): string {
  return `${listener}-canary`;
}

/** PriorityClass of a stack's own pods: sandboxes have none, so that they never evict them. */
export function priorityClassOf(stack: string): string {
  return `${stack}-training`;
}

/** Labels that every object of a stack carries. */
export function stackLabels(stack: string): Record<string, string> {
  return {
    "app.kubernetes.io/part-of": "swe-rl",
    "app.kubernetes.io/managed-by": "pulumi",
    "app.kubernetes.io/instance": stack,
    "swe-rl.dev/stack": stack,
  };
}
