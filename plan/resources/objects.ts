import { policiesOf } from "../network/index.ts";
import { isOwn } from "../storage/index.ts";
import { canaryPolicyOf, type NamespaceRole, persistentVolumeOf } from "../names.ts";
import type { Plan } from "../plan.ts";

/** One Kubernetes object of a stack. */
export interface PlannedObject {
  readonly apiVersion: string;
  /** Plural, as in paths and roles. */
  readonly resource: string;
  readonly kind: string;
  /** undefined for a cluster-wide object. */
  readonly namespace: string | undefined;
  /** undefined where Pulumi makes up the name. */
  readonly name: string | undefined;
  /** `adopt` and `patch`: the object exists before the stack; `patch` never creates it. */
  readonly how: "create" | "adopt" | "patch";
}

/** Kinds of objects that stacks make: API version and plural. */
const kinds = {
  Namespace: ["v1", "namespaces"],
  Node: ["v1", "nodes"],
  PersistentVolume: ["v1", "persistentvolumes"],
  PersistentVolumeClaim: ["v1", "persistentvolumeclaims"],
  ConfigMap: ["v1", "configmaps"],
  Secret: ["v1", "secrets"],
  Service: ["v1", "services"],
  ServiceAccount: ["v1", "serviceaccounts"],
  ResourceQuota: ["v1", "resourcequotas"],
  LimitRange: ["v1", "limitranges"],
  Deployment: ["apps/v1", "deployments"],
  DaemonSet: ["apps/v1", "daemonsets"],
  Job: ["batch/v1", "jobs"],
  PodDisruptionBudget: ["policy/v1", "poddisruptionbudgets"],
  NetworkPolicy: ["networking.k8s.io/v1", "networkpolicies"],
  Role: ["rbac.authorization.k8s.io/v1", "roles"],
  RoleBinding: ["rbac.authorization.k8s.io/v1", "rolebindings"],
  PriorityClass: ["scheduling.k8s.io/v1", "priorityclasses"],
  PriorityLevelConfiguration: ["flowcontrol.apiserver.k8s.io/v1", "prioritylevelconfigurations"],
  FlowSchema: ["flowcontrol.apiserver.k8s.io/v1", "flowschemas"],
  ValidatingAdmissionPolicy: ["admissionregistration.k8s.io/v1", "validatingadmissionpolicies"],
  ValidatingAdmissionPolicyBinding: [
    "admissionregistration.k8s.io/v1",
    "validatingadmissionpolicybindings",
  ],
  RayCluster: ["ray.io/v1", "rayclusters"],
  NodePool: ["karpenter.sh/v1", "nodepools"],
} as const;
type Kind = keyof typeof kinds;

interface Where {
  readonly namespace?: string;
  readonly name?: string;
  readonly how?: PlannedObject["how"];
}

function object(kind: Kind, { namespace, name, how = "create" }: Where): PlannedObject {
  const [apiVersion, resource] = kinds[kind];
  return { apiVersion, resource, kind, namespace, name, how };
}

export function objectsOf(plan: Plan): PlannedObject[] {
  return [
    ...clusterWide(plan),
    ...namespacesOf(plan).flatMap((role) => commonOf(plan, role)),
    ...volumesOf(plan),
    ...trainingOf(plan),
    ...proxyOf(plan),
    ...inputsCheckOf(plan),
    ...policyCheckOf(plan),
    ...startChecksOf(plan),
    ...servingOf(plan),
    ...sandboxOf(plan),
    ...reaperOf(plan),
    ...prepullOf(plan),
    ...listenersOf(plan),
    ...proofOf(plan),
  ];
}

function namespacesOf({ namespaces }: Plan): NamespaceRole[] {
  return namespaces.proxy ? ["train", "proxy", "sandbox"] : ["train", "sandbox"];
}

function clusterWide({ names, admission, nodeClaim, nodePools }: Plan): PlannedObject[] {
  const name = names.sandboxAdmission;
  const mutating = ["Policy", "PolicyBinding"].map((suffix) => ({
    apiVersion: `admissionregistration.k8s.io/${admission.mutation}`,
    resource: suffix === "Policy" ? "mutatingadmissionpolicies" : "mutatingadmissionpolicybindings",
    kind: `MutatingAdmission${suffix}`,
    namespace: undefined,
    name,
    how: "create" as const,
  }));
  return [
    object("PriorityClass", { name: names.priorityClass }),
    object("PriorityLevelConfiguration", { name }),
    object("FlowSchema", { name }),
    object("ValidatingAdmissionPolicy", { name }),
    object("ValidatingAdmissionPolicyBinding", { name }),
    ...(admission.mutation === "none" ? [] : mutating),
    ...(nodeClaim?.nodes ?? []).map((node) => object("Node", { name: node, how: "patch" })),
    ...nodePools.map((pool) => object("NodePool", { name: pool.name })),
  ];
}

/** A namespace with its policies and its registry credentials. */
function commonOf({ names, flows, pullSecrets }: Plan, role: NamespaceRole): PlannedObject[] {
  const namespace = names.namespaces[role];
  const policies = flows.flatMap((flow) => policiesOf(flow, role));
  return [
    object("Namespace", { name: namespace }),
    object("NetworkPolicy", { namespace, name: names.defaultDeny }),
    ...policies.map(({ name }) => object("NetworkPolicy", { namespace, name })),
    ...(pullSecrets ? [object("Secret", { namespace })] : []),
  ];
}

function volumesOf({ names, storage }: Plan): PlannedObject[] {
  const namespace = names.namespaces.train;
  return storage.volumes.flatMap((volume) => {
    const name = persistentVolumeOf(names.stack, volume.name);
    return [
      ...(isOwn(volume) ? [object("PersistentVolume", { name })] : []),
      object("PersistentVolumeClaim", { namespace, name: volume.name }),
    ];
  });
}

function trainingOf({ names, disruption }: Plan): PlannedObject[] {
  const { train: namespace, sandbox } = names.namespaces;
  const account = names.trainerServiceAccount;
  return [
    // Ray's token, and what training pods get as variables.
    object("Secret", { namespace }),
    object("Secret", { namespace }),
    object("ServiceAccount", { namespace, name: account }),
    object("Role", { namespace: sandbox, name: account }),
    object("RoleBinding", { namespace: sandbox, name: account }),
    object("ConfigMap", { namespace }),
    object("RayCluster", { namespace, name: names.rayCluster }),
    ...(!disruption.holdsRay
      ? []
      : [object("PodDisruptionBudget", { namespace, name: names.rayCluster })]),
    // The run's specification, and the submitter's programs.
    object("ConfigMap", { namespace }),
    object("ConfigMap", { namespace }),
    object("Job", { namespace, name: names.trainerJob }),
  ];
}

/** An account, a Deployment, and, where it is called, a Service. */
function program(namespace: string, name: string, isCalled = true): PlannedObject[] {
  return [
    object("ServiceAccount", { namespace, name }),
    object("Deployment", { namespace, name }),
    ...(isCalled ? [object("Service", { namespace, name })] : []),
  ];
}

function inputsCheckOf({ names, trainer }: Plan): PlannedObject[] {
  const namespace = names.namespaces.train;
  if (!trainer.check) return [];
  return [
    object("ServiceAccount", { namespace, name: names.inputsCheck }),
    object("Job", { namespace, name: names.inputsCheck }),
  ];
}

function policyCheckOf({ names, proxy }: Plan): PlannedObject[] {
  const namespace = names.namespaces.train;
  const checks =
    proxy.mode === "litellm" ? [names.rolloutCheck, names.policyCheck] : [names.policyCheck];
  return checks.flatMap((name) => [
    object("ConfigMap", { namespace }),
    object("ServiceAccount", { namespace, name }),
    object("Job", { namespace, name }),
  ]);
}

function startChecksOf({ names, trainer, proxy }: Plan): PlannedObject[] {
  const { train, proxy: proxyNamespace } = names.namespaces;
  const { inputsStart, trainingStart, servicesStart } = names;
  const read = (name: string, where: readonly string[]) => [
    object("ConfigMap", { namespace: train }),
    object("ServiceAccount", { namespace: train, name }),
    object("Job", { namespace: train, name }),
    ...where.flatMap((namespace) => [
      object("Role", { namespace, name }),
      object("RoleBinding", { namespace, name }),
    ]),
  ];
  return [
    ...(trainer.check ? read(inputsStart, [train]) : []),
    ...read(trainingStart, [train]),
    ...read(servicesStart, proxy.mode === "litellm" ? [train, proxyNamespace] : [train]),
  ];
}

function proxyOf({ names, proxy }: Plan): PlannedObject[] {
  const { train, proxy: namespace } = names.namespaces;
  if (proxy.mode === "in_process") return [];
  return [
    object("Secret", { namespace }),
    ...[[train, names.recorder] as const, [namespace, names.proxy] as const].flatMap(
      ([where, name]) => [
        ...program(where, name),
        object("ConfigMap", { namespace: where }),
        object("PodDisruptionBudget", { namespace: where, name }),
      ],
    ),
  ];
}

function servingOf({ names, serving }: Plan): PlannedObject[] {
  const namespace = names.namespaces.train;
  return serving.flatMap(({ object: name }) => [
    ...program(namespace, name),
    object("PodDisruptionBudget", { namespace, name }),
  ]);
}

function sandboxOf({ names }: Plan): PlannedObject[] {
  const namespace = names.namespaces.sandbox;
  return [
    object("ResourceQuota", { namespace, name: names.sandboxBounds }),
    object("LimitRange", { namespace, name: names.sandboxBounds }),
    object("ServiceAccount", { namespace, name: names.sandboxServiceAccount, how: "adopt" }),
  ];
}

function reaperOf({ names, reaper: { name } }: Plan): PlannedObject[] {
  const { train, sandbox } = names.namespaces;
  return [
    ...program(train, name, false),
    object("ConfigMap", { namespace: train }),
    ...[sandbox, train].flatMap((namespace) => [
      object("Role", { namespace, name }),
      object("RoleBinding", { namespace, name }),
    ]),
  ];
}

function prepullOf({ names, prepull }: Plan): PlannedObject[] {
  if (!prepull) return [];
  const namespace = names.namespaces.train;
  return [
    object("ServiceAccount", { namespace, name: prepull.name }),
    object("DaemonSet", { namespace, name: prepull.name }),
  ];
}

function listenersOf({ names, isolation: { allowedTarget, decoy } }: Plan): PlannedObject[] {
  const listeners = [
    { name: names.allowedTarget, ...allowedTarget },
    { name: names.decoy, ...decoy },
  ];
  return listeners.flatMap(({ name, namespaceRole, open }) => {
    const namespace = names.namespaces[namespaceRole];
    return [
      ...program(namespace, name),
      object("ConfigMap", { namespace }),
      ...(open.tcp.length + open.udp.length > 0
        ? [object("NetworkPolicy", { namespace, name: canaryPolicyOf(name) })]
        : []),
    ];
  });
}

function proofOf({ names, isolation }: Plan): PlannedObject[] {
  if (!isolation.requireProof) return [];
  const namespace = names.namespaces.sandbox;
  return [
    object("ConfigMap", { namespace }),
    object("ServiceAccount", { namespace, name: names.egressProof }),
    object("Job", { namespace, name: names.egressProof }),
  ];
}
