/** Which pods the selectors of a recording choose. */
import { roleLabel } from "../../plan/network/index.ts";
import type { Plan } from "../../plan/plan.ts";
import { kubernetesObjects, type Selector, templatesOf } from "./made.ts";
import type { KubernetesObject, Recording } from "./recorder.ts";

/** Pods of one template. */
export interface Pods {
  /** `kind name` of the object that makes them. */
  readonly owner: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One place of an object that selects pods of its namespace. */
export interface Selection {
  /** `kind name: place`, and the namespace. */
  readonly what: string;
  readonly namespace: string;
  readonly selector: Selector;
  /** Owner of the pods that it is about. */
  readonly owner: string;
}

/** The pods of every template, and the sandboxes, which the trainer makes. */
export function podsOf(recording: Recording, { names }: Plan): Pods[] {
  const made = kubernetesObjects(recording).flatMap((object) =>
    templatesOf(object).map(({ template, group }) => ({
      owner: ownerOf(object),
      namespace: object.metadata.namespace ?? "",
      labels: { ...template.metadata.labels, ...operatorLabels(object, group) },
    })),
  );
  const sandbox = {
    owner: "sandbox",
    namespace: names.namespaces.sandbox,
    labels: { "swe-rl.dev/stack": names.stack, [roleLabel]: "sandbox" },
  };
  return [...made, sandbox];
}

/** What KubeRay puts on the pods of a cluster (`labelPod` of its operator). */
function operatorLabels({ kind, metadata }: KubernetesObject, group: string | undefined) {
  if (kind !== "RayCluster") return {};
  return {
    "ray.io/cluster": metadata.name ?? "",
    "ray.io/group": group ?? "headgroup",
    "ray.io/is-ray-node": "yes",
    "ray.io/node-type": group === undefined ? "head" : "worker",
  };
}

const ownerOf = ({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.name ?? ""}`;

interface Spec {
  readonly selector?: Selector & Readonly<Record<string, string>>;
  readonly podSelector?: Selector;
}

/** Every selector that is meant for the pods of one object. Network policies, which are about roles, are not among them. */
export function selectionsOf(recording: Recording): Selection[] {
  const objects = kubernetesObjects(recording);
  const workloads = objects.filter((object) => templatesOf(object).length > 0);
  /** A Service or a budget has the name of its workload; Ray's budgets may have one for each kind of pods. */
  const namesake = ({ metadata: { name = "", namespace } }: KubernetesObject) => {
    const found = workloads.find(
      (one) =>
        one.metadata.namespace === namespace &&
        (one.metadata.name === name ||
          (one.kind === "RayCluster" && name.startsWith(`${one.metadata.name ?? ""}-`))),
    );
    return found ? ownerOf(found) : `nothing called ${name}`;
  };
  return objects.flatMap((object): Selection[] => {
    const spec = (object["spec"] ?? {}) as Spec;
    const at = (place: string, selector: Selector | undefined, owner: string): Selection[] =>
      selector === undefined
        ? []
        : [
            {
              what: `${ownerOf(object)}: ${place}`,
              namespace: object.metadata.namespace ?? "",
              selector,
              owner,
            },
          ];
    const spread = templatesOf(object).flatMap(({ template }) =>
      (template.spec.topologySpreadConstraints ?? []).flatMap(({ labelSelector }) =>
        at("topologySpreadConstraints", labelSelector, ownerOf(object)),
      ),
    );
    switch (object.kind) {
      case "Service":
        return at("selector", { matchLabels: { ...spec.selector } }, namesake(object));
      case "PodDisruptionBudget":
        return at("selector", spec.selector, namesake(object));
      case "NetworkPolicy":
        return at("podSelector", listenerSelector(spec), namesakeOfListener(object));
      default:
        return [...at("selector", spec.selector, ownerOf(object)), ...spread];
    }
  });
}

/** Of the policies only the canary's is about one object's pods. */
function listenerSelector({ podSelector }: Spec): Selector | undefined {
  const keys = Object.keys(podSelector?.matchLabels ?? {});
  return keys.includes("swe-rl.dev/listener") ? podSelector : undefined;
}

function namesakeOfListener({ metadata: { name = "" } }: KubernetesObject): string {
  return `Deployment ${name.replace(/-canary$/, "")}`;
}

export function selects({ selector, namespace }: Selection, pods: Pods): boolean {
  if (selector.matchExpressions) throw new Error("a selector with expressions is not evaluated");
  const labels = Object.entries(selector.matchLabels ?? {});
  if (labels.length === 0) throw new Error("a selector without labels takes all pods");
  return pods.namespace === namespace && labels.every(([key, value]) => pods.labels[key] === value);
}
