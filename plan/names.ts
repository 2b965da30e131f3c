import type { Settings } from "../config/load/load.ts";

/** The three namespaces of an experiment, by what lives in them. */
export const compartments = ["train", "proxy", "sandbox"] as const;
export type Compartment = (typeof compartments)[number];

/** Every name that a run has outside the program. */
export interface Names {
  readonly stack: string;
  /** Project of the tracker, and first directory level of every output. */
  readonly project: string;
  /** Name of the run, and second directory level of every output. */
  readonly run: string;
  readonly namespaces: Readonly<Record<Compartment, string>>;
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
  /** Job that shows what sandboxes reach. */
  readonly egressProof: string;
}

/** Kubernetes' limit for a namespace and for a label value. */
const longestLabel = 63;

/** Longest name of a stack whose namespaces (`<stack>-sandbox`) Kubernetes still takes. */
export const longestStackName =
  longestLabel - Math.max(...compartments.map((name) => `-${name}`.length));

export function planNames({ stack, experiment }: Settings): Names {
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
    egressProof: "egress-proof",
  };
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
