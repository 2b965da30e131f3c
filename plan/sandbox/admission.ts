/** What the API server admits into the sandbox namespace, as CEL: Harbor makes its pods at run time, so only admission binds them. */
import type { Basis } from "../host.ts";
import type { SandboxProfile } from "../../config/schema/sandbox.ts";
import type { Names } from "../names.ts";
import type { PodSecurity } from "../network/index.ts";
import type { Sandboxes } from "./bounds.ts";

/** One named condition on a pod. */
export interface AdmissionRule {
  readonly name: string;
  /** CEL that is true of a pod that may be created. */
  readonly expression: string;
  /** What the user reads: begins with the rule's name and says what is allowed. */
  readonly message: string;
  /** CEL that adds what was found to the message. */
  readonly messageExpression?: string;
}

/** Name of the init container that holds a sandbox back until its network is closed. */
export const gateContainer = "entry-gate";

export interface Admission {
  readonly profile: SandboxProfile;
  /** Level of pod security that the namespace enforces. */
  readonly podSecurity: PodSecurity;
  /** Version of MutatingAdmissionPolicy that completes Harbor's pods; `none` if they come complete. */
  readonly mutation: "v1" | "v1beta1" | "none";
  /** Account that makes the sandboxes: `system:serviceaccount:<namespace>:<name>`. */
  readonly creator: string;
  readonly runtimeClass: string | undefined;
  /** Names that the rules use in their CEL. */
  readonly variables: readonly { readonly name: string; readonly expression: string }[];
  /** All but the one of the entry gate, which needs the proxy's address. */
  readonly rules: readonly AdmissionRule[];
}

/** Controllers of Kubernetes that make pods of our own objects in the namespace: the egress proof and the image pre-pull. */
const controllers = [
  "system:serviceaccount:kube-system:job-controller",
  "system:serviceaccount:kube-system:daemon-set-controller",
  // A controller manager without accounts of its own for its controllers.
  "system:kube-controller-manager",
];

/** With it the egress proof can send an ICMP echo without a capability; pod security baseline allows it. */
const pingSysctl = "net.ipv4.ping_group_range";

/** Capabilities that a container may add, by profile; the sidecar's only in the container of that name. */
const sidecar = { container: "netadmin", capabilities: ["NET_ADMIN", "NET_RAW"] } as const;

export function planAdmission(
  settings: Basis,
  parts: { names: Names; sandboxes: Sandboxes },
): Admission {
  const { profile } = settings.experiment.sandbox;
  const { runtime_classes: runtimeClasses } = settings.host.sandbox_nodes;
  const { names } = parts;
  const runtimeClass =
    profile === "gvisor" || profile === "kata" ? runtimeClasses[profile] : undefined;
  const creator = `system:serviceaccount:${names.namespaces.train}:${names.trainerServiceAccount}`;
  return {
    profile,
    podSecurity: podSecurityOf(profile),
    mutation: settings.host.mutatingAdmission,
    creator,
    runtimeClass,
    variables: [
      {
        name: "containers",
        expression: "object.spec.containers + object.spec.?initContainers.orValue([])",
      },
      { name: "byTrainer", expression: `request.userInfo.username == ${literal(creator)}` },
      {
        name: "byController",
        expression: `request.userInfo.username in ${literal(controllers)}`,
      },
    ],
    rules: [
      ...creation(),
      // Before the volumes: another account brings its token as a volume.
      ...identity(),
      ...node(settings, parts.sandboxes),
      ...privileges(profile),
      ...bounds(parts.sandboxes),
      ...images(settings),
      ...runtime(profile, runtimeClass),
      ...labels(settings),
    ],
  };
}

/** The sidecar's capabilities are beyond `baseline`, and no level lies between that and none. */
export function podSecurityOf(profile: SandboxProfile): PodSecurity {
  return profile === "sidecar" ? "privileged" : "baseline";
}

/** A CEL literal. JSON's escapes are CEL's. */
export function literal(value: string | number | boolean | readonly string[]): string {
  return JSON.stringify(value);
}

function rule(name: string, expression: string, allowed: string): AdmissionRule {
  return { name, expression, message: `${name}: ${allowed}` };
}

/** A rule that every container must meet, init containers included; the message names those that do not. */
function each(name: string, condition: string, allowed: string): AdmissionRule {
  const offending = `variables.containers.filter(c, !(${condition})).map(c, c.name).join(", ")`;
  return {
    ...rule(name, `variables.containers.all(c, ${condition})`, allowed),
    messageExpression: `${literal(`${name}: container `)} + ${offending} + ${literal(`: ${allowed}`)}`,
  };
}

function creation(): AdmissionRule[] {
  return [
    rule(
      "creator",
      "variables.byTrainer || variables.byController",
      "only the trainer's ServiceAccount makes sandboxes",
    ),
    rule(
      "ephemeral-containers",
      "!has(object.spec.ephemeralContainers) || object.spec.ephemeralContainers.size() == 0",
      "no container may be added to a running sandbox",
    ),
    rule(
      "finalizers",
      "object.metadata.?finalizers.orValue([]).all(f, !variables.byTrainer)",
      "a sandbox may not delay its own deletion",
    ),
  ];
}

/** What ties a pod to its node. */
function node(settings: Basis, sandboxes: Sandboxes): AdmissionRule[] {
  const { resource } = settings.host.gpu_nodes;
  const keys = sandboxes.tolerations.flatMap(({ key }) => (key === undefined ? [] : [key]));
  const tolerable = `t.?key.orValue("") in ${literal(keys)} || t.?key.orValue("").startsWith("node.kubernetes.io/")`;
  const selector = Object.entries(sandboxes.nodeSelector)
    .map(
      ([key, value]) =>
        `object.spec.?nodeSelector[?${literal(key)}].orValue("") == ${literal(value)}`,
    )
    .join(" && ");
  return [
    rule(
      "host-namespaces",
      "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false)",
      "hostNetwork, hostPID and hostIPC are closed to sandboxes",
    ),
    {
      ...rule(
        "volumes",
        "object.spec.?volumes.orValue([]).all(v, has(v.emptyDir) || has(v.image) || (variables.byController && has(v.configMap)))",
        "only emptyDir and image volumes; no hostPath, no claim, no token, no Secret",
      ),
      messageExpression: `"volumes: " + object.spec.?volumes.orValue([]).filter(v, !(has(v.emptyDir) || has(v.image))).map(v, v.name).join(", ") + ": only emptyDir and image volumes; no hostPath, no claim, no token, no Secret"`,
    },
    rule(
      "memory-volumes",
      'object.spec.?volumes.orValue([]).all(v, !has(v.emptyDir) || v.emptyDir.?medium.orValue("") != "Memory" || has(dyn(v.emptyDir).sizeLimit))',
      "an emptyDir in memory needs a sizeLimit",
    ),
    each("host-ports", "c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)", "no hostPort"),
    rule(
      "node-name",
      "!variables.byTrainer || !has(object.spec.nodeName)",
      "the scheduler chooses the node",
    ),
    ...(selector === ""
      ? []
      : [
          rule(
            "node-selector",
            selector,
            `nodes are selected by ${Object.entries(sandboxes.nodeSelector)
              .map((pair) => pair.join("="))
              .join(",")}`,
          ),
        ]),
    ...(sandboxes.tolerations.some(({ key }) => key === undefined)
      ? []
      : [
          rule(
            "tolerations",
            `object.spec.?tolerations.orValue([]).all(t, ${tolerable})`,
            `only the taints ${keys.join(", ") || "of Kubernetes itself"} are tolerated`,
          ),
        ]),
    rule(
      "scheduler",
      'object.spec.?schedulerName.orValue("default-scheduler") == "default-scheduler"',
      "the cluster's own scheduler places sandboxes",
    ),
    rule(
      "priority",
      "object.spec.?priority.orValue(0) <= 0",
      "a sandbox has no priority, so that it never evicts training",
    ),
    each(
      "gpus",
      `!(${literal(resource)} in c.?resources.?requests.orValue({})) && !(${literal(resource)} in c.?resources.?limits.orValue({})) && c.?resources.?claims.orValue([]).size() == 0`,
      "no GPU and no device",
    ),
  ];
}

function privileges(profile: SandboxProfile): AdmissionRule[] {
  const added = "c.?securityContext.?capabilities.?add.orValue([])";
  return [
    each("privileged", "!c.?securityContext.?privileged.orValue(false)", "no privileged container"),
    profile === "sidecar"
      ? each(
          "capabilities",
          `${added}.all(a, c.name == ${literal(sidecar.container)} && a in ${literal(sidecar.capabilities)})`,
          `only the container ${sidecar.container} may add ${sidecar.capabilities.join(" and ")}`,
        )
      : each("capabilities", `${added}.size() == 0`, "no capability may be added"),
    each(
      "proc-mount",
      'c.?securityContext.?procMount.orValue("Default") == "Default"',
      "procMount is Default",
    ),
    each(
      "seccomp",
      'c.?securityContext.?seccompProfile.?type.orValue("RuntimeDefault") == "RuntimeDefault" && object.spec.?securityContext.?seccompProfile.?type.orValue("RuntimeDefault") == "RuntimeDefault"',
      "the seccomp profile is RuntimeDefault",
    ),
    each(
      "apparmor",
      'c.?securityContext.?appArmorProfile.?type.orValue("RuntimeDefault") == "RuntimeDefault" && object.spec.?securityContext.?appArmorProfile.?type.orValue("RuntimeDefault") == "RuntimeDefault"',
      "the AppArmor profile is RuntimeDefault",
    ),
    rule(
      "sysctls",
      `object.spec.?securityContext.?sysctls.orValue([]).all(s, !variables.byTrainer && s.name == ${literal(pingSysctl)})`,
      "no kernel parameter may be set",
    ),
  ];
}

function identity(): AdmissionRule[] {
  return [
    rule(
      "service-account",
      'variables.byController || object.spec.?serviceAccountName.orValue("default") in ["", "default"]',
      "a sandbox has the namespace's default account, which may nothing",
    ),
    rule(
      "service-account-token",
      "!object.spec.?automountServiceAccountToken.orValue(false)",
      "no token of the API server",
    ),
    each(
      "secret-environment",
      "c.?envFrom.orValue([]).size() == 0 && c.?env.orValue([]).all(e, !has(e.valueFrom) || has(e.valueFrom.fieldRef) || has(e.valueFrom.resourceFieldRef))",
      "no variable from a Secret or ConfigMap",
    ),
  ];
}

function bounds({ perPod, longestDeadlineSeconds }: Sandboxes): AdmissionRule[] {
  const limit = (name: string) => `c.?resources.?limits[?${literal(name)}]`;
  const within = (name: string, most: number) =>
    `${limit(name)}.hasValue() && quantity(string(${limit(name)}.value())).compareTo(quantity(${literal(String(most))})) <= 0`;
  return [
    each(
      "memory-limit",
      within("memory", perPod.memoryLimitBytes),
      `a memory limit of at most ${inMiB(perPod.memoryLimitBytes)}`,
    ),
    each(
      "ephemeral-storage-limit",
      within("ephemeral-storage", perPod.ephemeralStorageBytes),
      `an ephemeral-storage limit of at most ${inMiB(perPod.ephemeralStorageBytes)}`,
    ),
    rule(
      "deadline",
      `!variables.byTrainer || (has(object.spec.activeDeadlineSeconds) && object.spec.activeDeadlineSeconds <= ${longestDeadlineSeconds})`,
      `activeDeadlineSeconds of at most ${longestDeadlineSeconds}`,
    ),
    rule(
      "restart-policy",
      '!variables.byTrainer || object.spec.?restartPolicy.orValue("Always") == "Never"',
      "a trial that has ended is not started again: restartPolicy Never",
    ),
  ];
}

function inMiB(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)}Mi`;
}

/** Our own gate is not held to what the user demands of task images; it is held to be ours. */
function images({ experiment }: Basis): AdmissionRule[] {
  const { allowed_registries: registries, require_digest: byDigest } = experiment.sandbox;
  const exempt = `variables.byController || c.name == ${literal(gateContainer)}`;
  const beginnings = registries.map((name) => `c.image.startsWith(${literal(`${name}/`)})`);
  return [
    ...(registries.length > 0
      ? [
          each(
            "registries",
            `${exempt} || ${beginnings.join(" || ")}`,
            `images only from ${registries.join(", ")}`,
          ),
        ]
      : []),
    ...(byDigest
      ? [
          each(
            "image-digest",
            `${exempt} || c.image.matches("@sha256:[a-f0-9]{64}$")`,
            "images only by digest",
          ),
        ]
      : []),
  ];
}

function runtime(profile: SandboxProfile, runtimeClass: string | undefined): AdmissionRule[] {
  return [
    ...(runtimeClass === undefined
      ? []
      : [
          rule(
            "runtime-class",
            `object.spec.?runtimeClassName.orValue("") == ${literal(runtimeClass)}`,
            `runtimeClassName ${runtimeClass}`,
          ),
        ]),
    ...(profile === "user_namespaces"
      ? [
          rule(
            "host-users",
            "object.spec.?hostUsers.orValue(true) == false",
            "a user namespace of its own: hostUsers false",
          ),
        ]
      : []),
  ];
}

/** The reaper finds what the trainer has made by these. */
function labels({ experiment }: Basis): AdmissionRule[] {
  const prefix = experiment.harbor_agent.pod_name_prefix;
  return [
    rule(
      "run-label",
      `!variables.byTrainer || object.metadata.?labels[?"harbor-run"].orValue("") == ${literal(prefix)}`,
      `label harbor-run=${prefix}, by which the reaper finds the pod`,
    ),
  ];
}
