/** Every kind of object that a stack makes, where, and under which names: for its rights, and for what is there already. */
import type { Compartment } from "../plan/names.ts";
import type { Plan } from "../plan/plan.ts";

/** Objects of one kind in one place. */
export interface ObjectKind {
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths and roles. */
  readonly resource: string;
  /** undefined for what is not in a namespace. */
  readonly namespace: string | undefined;
  /** Names that the Plan fixes; Pulumi makes up the others. */
  readonly names: readonly string[];
}

type Row = readonly [apiVersion: string, resource: string, names?: readonly string[]];

export function objectsOf(plan: Plan): ObjectKind[] {
  const { names, compartments, storage, serving, proxy, nodeClaim, nodePools } = plan;
  const frozen = serving.map(({ object }) => object);
  const litellm = proxy.mode === "litellm";
  const recorder = litellm ? [names.recorder] : [];
  const ray = plan.disruption.rayMaxUnavailable === undefined ? [] : [names.rayCluster];
  const account = names.trainerServiceAccount;
  const door = "proof-door";
  const inTrain = ["proof-ray", ...(litellm ? [] : [door])];
  const reaper = plan.reaper.name;
  const own = storage.volumes.filter(
    ({ backing: { kind } }) => kind === "nfs" || kind === "host_path",
  );
  const inNamespace: Readonly<Record<Compartment, readonly Row[]>> = {
    train: [
      ["networking.k8s.io/v1", "networkpolicies", ["default-deny"]],
      ["v1", "secrets"],
      ["v1", "configmaps"],
      ["v1", "persistentvolumeclaims", storage.volumes.map(({ name }) => name)],
      ["v1", "serviceaccounts", [account, reaper, ...recorder, ...frozen, ...inTrain]],
      ["rbac.authorization.k8s.io/v1", "roles", [reaper]],
      ["rbac.authorization.k8s.io/v1", "rolebindings", [reaper]],
      ["ray.io/v1", "rayclusters", [names.rayCluster]],
      ["policy/v1", "poddisruptionbudgets", [...ray, ...recorder, ...frozen]],
      ["batch/v1", "jobs", [names.trainerJob]],
      ["v1", "services", [...recorder, ...frozen, ...inTrain]],
      ["apps/v1", "deployments", [reaper, ...recorder, ...frozen, ...inTrain]],
    ],
    proxy: [
      ["networking.k8s.io/v1", "networkpolicies", ["default-deny"]],
      ["v1", "secrets"],
      ["v1", "configmaps"],
      ["v1", "serviceaccounts", [names.proxy, door]],
      ["v1", "services", [names.proxy, door]],
      ["apps/v1", "deployments", [names.proxy, door]],
      ["policy/v1", "poddisruptionbudgets", [names.proxy]],
    ],
    sandbox: [
      ["networking.k8s.io/v1", "networkpolicies", ["default-deny"]],
      ["v1", "secrets"],
      ["v1", "resourcequotas", ["sandboxes"]],
      ["v1", "limitranges", ["sandboxes"]],
      ["v1", "serviceaccounts", [names.egressProof]],
      ["v1", "configmaps"],
      ["batch/v1", "jobs", [names.egressProof]],
      ["rbac.authorization.k8s.io/v1", "roles", [account, reaper]],
      ["rbac.authorization.k8s.io/v1", "rolebindings", [account, reaper]],
    ],
  };
  const { train, proxy: proxyCompartment, sandbox } = compartments;
  const here = [train, ...(proxyCompartment ? [proxyCompartment] : []), sandbox];
  return [
    kindOf(["v1", "namespaces", here.map(({ namespace }) => namespace)]),
    ...clusterWide(plan).map((row) => kindOf(row)),
    ...(own.length > 0
      ? [kindOf(["v1", "persistentvolumes", own.map(({ name }) => `${names.stack}-${name}`)])]
      : []),
    ...(nodeClaim ? [kindOf(["v1", "nodes", nodeClaim.nodes])] : []),
    ...(nodePools.length > 0
      ? [kindOf(["karpenter.sh/v1", "nodepools", nodePools.map(({ name }) => name)])]
      : []),
    ...here.flatMap(({ compartment, namespace }) =>
      inNamespace[compartment].map((row) => kindOf(row, namespace)),
    ),
  ];
}

/** What bounds the sandboxes, and training's priority. */
function clusterWide({ names, admission }: Plan): Row[] {
  const admissionApi = "admissionregistration.k8s.io";
  const bounds = [names.sandboxAdmission];
  const validating = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
  const mutating = ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"];
  return [
    ["scheduling.k8s.io/v1", "priorityclasses", [names.priorityClass]],
    ["flowcontrol.apiserver.k8s.io/v1", "prioritylevelconfigurations", bounds],
    ["flowcontrol.apiserver.k8s.io/v1", "flowschemas", bounds],
    ...validating.map((resource): Row => [`${admissionApi}/v1`, resource, bounds]),
    ...(admission.mutation === "none"
      ? []
      : mutating.map((resource): Row => [
          `${admissionApi}/${admission.mutation}`,
          resource,
          bounds,
        ])),
  ];
}

function kindOf([apiVersion, resource, names = []]: Row, namespace?: string): ObjectKind {
  const [version = "", group = ""] = apiVersion.split("/").reverse();
  return { group, version, resource, namespace, names };
}

/** Where the API server has the kind. */
export function pathOf({ group, version, resource, namespace }: ObjectKind): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespace === undefined
    ? `${root}/${resource}`
    : `${root}/namespaces/${namespace}/${resource}`;
}
