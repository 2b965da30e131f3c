/** What a recording made, in the form of the Plan's list of resources. */
import type { PlannedObject, PlannedPods } from "../../plan/resources/index.ts";
import type { Plan } from "../../plan/plan.ts";
import { amountOf } from "../../preflight/facts/quantity.ts";
import type { KubernetesObject, Recording } from "./recorder.ts";

/** By which an object selects pods. */
export interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly unknown[];
}

interface Container {
  readonly image: string;
  readonly resources: Readonly<Record<"requests" | "limits", Readonly<Record<string, string>>>>;
}

interface Template {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly initContainers?: readonly Container[];
    readonly containers: readonly Container[];
    readonly nodeSelector: object;
    readonly tolerations: object;
    readonly priorityClassName?: string;
    readonly volumes?: readonly { readonly image?: { readonly reference: string } }[];
    readonly topologySpreadConstraints?: readonly { readonly labelSelector: Selector }[];
  };
}

export function kubernetesObjects({ registrations }: Recording): KubernetesObject[] {
  return registrations
    .filter(({ type }) => type.startsWith("kubernetes:"))
    .map(({ inputs }) => inputs as unknown as KubernetesObject);
}

/** Objects as `apiVersion resource kind namespace/name`, sorted; `*` for a name that Pulumi makes up. */
export function objectsMade(recording: Recording): string[] {
  return kubernetesObjects(recording)
    .map(({ apiVersion, kind, metadata: { namespace = "", name = "*" } }) =>
      [apiVersion, pluralOf(kind), kind, `${namespace}/${name}`].join(" "),
    )
    .sort();
}

export function objectsPlanned(objects: readonly PlannedObject[]): string[] {
  return objects
    .map(({ apiVersion, resource, kind, namespace = "", name = "*" }) =>
      [apiVersion, resource, kind, `${namespace}/${name}`].join(" "),
    )
    .sort();
}

/** Plural of a kind in the API. */
function pluralOf(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower.endsWith("ss")) return `${lower}es`;
  return lower.endsWith("y") ? `${lower.slice(0, -1)}ies` : `${lower}s`;
}

/** Pods with what they ask for, one line for each template, sorted. */
export function podsMade(recording: Recording, plan: Plan): string[] {
  return kubernetesObjects(recording)
    .flatMap((object) =>
      templatesOf(object).map(({ template, replicas }) =>
        line({
          namespace: object.metadata.namespace,
          replicas,
          cpus: ask(template, ["requests", "cpu"]),
          memoryBytes: ask(template, ["requests", "memory"]),
          memoryLimitBytes: ask(template, ["limits", "memory"]),
          gpus: ask(template, ["limits", plan.gpuDemand.resource], 0),
          nodeSelector: template.spec.nodeSelector,
          tolerations: template.spec.tolerations,
          priorityClass: template.spec.priorityClassName,
          images: referencesOf(imagesMade(template), plan),
        }),
      ),
    )
    .sort();
}

/** Images of a pod's containers and image volumes. */
function imagesMade({ spec }: Template): string[] {
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const volumes = spec.volumes?.flatMap(({ image }) => image?.reference ?? []) ?? [];
  return [...containers.map(({ image }) => image), ...volumes];
}

/** Sorted, each once; a build by its repository, since its digest is known only when it is made. */
function referencesOf(images: readonly string[], { builds }: Plan): string[] {
  const built = images.map((image) => {
    const build = builds.find(
      ({ reference, repository }) => image === reference || image.startsWith(`${repository}@`),
    );
    return build?.repository ?? image;
  });
  return [...new Set(built)].sort();
}

export function podsPlanned(pods: readonly PlannedPods[], plan: Plan): string[] {
  const { names } = plan;
  return pods
    .map(({ namespaceRole, placement, replicas, cpus, memoryBytes, memoryLimitBytes, ...rest }) =>
      line({
        namespace: names.namespaces[namespaceRole],
        replicas,
        cpus,
        memoryBytes,
        memoryLimitBytes,
        gpus: rest.gpus,
        nodeSelector: placement.nodeSelector,
        tolerations: placement.tolerations,
        priorityClass: placement.priorityClass,
        images: referencesOf(rest.images, plan),
      }),
    )
    .sort();
}

interface Line {
  readonly cpus: number;
  readonly nodeSelector: object;
  readonly tolerations: object;
  readonly [field: string]: unknown;
}

function line({ cpus, nodeSelector, tolerations, ...rest }: Line): string {
  // The engine gives fields back in another order.
  const ordered = (value: object) => Object.fromEntries(Object.entries(value).sort());
  return JSON.stringify({
    ...rest,
    cpus: Math.round(cpus * 1000) / 1000,
    nodeSelector: ordered(nodeSelector),
    tolerations: Object.values(tolerations).map((one: object) => ordered(one)),
  });
}

/** What a pod asks for: its containers together, or the largest of its init containers. */
function ask(
  { spec }: Template,
  [of, resource]: readonly ["requests" | "limits", string],
  otherwise = Number.NaN,
): number {
  const amount = ({ resources }: Container) => {
    const text = resources[of][resource];
    return text === undefined ? otherwise : amountOf(text);
  };
  const together = spec.containers.reduce((sum, container) => sum + amount(container), 0);
  return Math.max(together, ...(spec.initContainers ?? []).map(amount));
}

export interface Templates {
  readonly template: Template;
  readonly replicas: number | "each-node";
  /** Of Ray's workers. */
  readonly group?: string;
}

/** Templates of an object's pods. */
export function templatesOf({ kind, spec }: KubernetesObject): Templates[] {
  const given = spec as {
    template: Template;
    replicas?: number;
    parallelism?: number;
    headGroupSpec: { template: Template };
    workerGroupSpecs: { groupName: string; template: Template; replicas: number }[];
  };
  switch (kind) {
    case "Deployment":
      return [{ template: given.template, replicas: given.replicas ?? 1 }];
    case "Job":
      return [{ template: given.template, replicas: given.parallelism ?? 1 }];
    case "DaemonSet":
      return [{ template: given.template, replicas: "each-node" }];
    case "RayCluster":
      return [
        { template: given.headGroupSpec.template, replicas: 1 },
        ...given.workerGroupSpecs.map(({ groupName: group, ...rest }) => ({ ...rest, group })),
      ];
    default:
      return [];
  }
}
