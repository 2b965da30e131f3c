/** Pods as Harbor makes them, and what may be wrong with one. */

interface Container {
  name: string;
  image: string;
  command?: string[];
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  [field: string]: unknown;
}

export interface SandboxPod {
  apiVersion: "v1";
  kind: "Pod";
  metadata: { labels: Record<string, string>; [field: string]: unknown };
  spec: {
    containers: [Container, ...Container[]];
    volumes: { name: string; [source: string]: unknown }[];
    [field: string]: unknown;
  };
}

/** The pod that Harbor makes by default. */
export function harborPod(): SandboxPod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      labels: {
        app: "harbor-sandbox",
        session: "s-1",
        environment: "e-1",
        "harbor-owner-pid": "4711",
        "harbor-owner-host": "ray-train-worker",
        "harbor-run": "swe-lego-live-rl",
      },
    },
    spec: {
      restartPolicy: "Never",
      activeDeadlineSeconds: 6000,
      containers: [
        {
          name: "main",
          image: "registry.example.com/tasks/openswe-django-1:latest",
          imagePullPolicy: "IfNotPresent",
          command: ["sleep", "infinity"],
          env: [{ name: "TMPDIR", value: "/tmp" }],
          resources: {
            requests: { cpu: "1", memory: "8192Mi" },
            limits: { memory: "32768Mi" },
          },
          volumeMounts: [
            { name: "logs", mountPath: "/logs" },
            { name: "tmp", mountPath: "/tmp" },
          ],
        },
      ],
      volumes: [
        { name: "logs", emptyDir: {} },
        { name: "tmp", emptyDir: {} },
      ],
    },
  };
}

type Change = (pod: SandboxPod) => void;

const changed = (change: Change): SandboxPod => {
  const pod = harborPod();
  change(pod);
  return pod;
};

const runtime: Change = ({ spec }) => {
  spec.volumes.push({
    name: "runtime",
    image: { reference: "docker.io/jierun/c-cc-2.1.118:v0.1", pullPolicy: "IfNotPresent" },
  });
  spec.containers[0]["volumeMounts"] = [
    { name: "runtime", mountPath: "/mnt/harbor-agent-runtime", readOnly: true },
  ];
  spec.containers[0].command = [
    "sh",
    "-c",
    "ln -s /mnt/harbor-agent-runtime /opt/x; sleep infinity",
  ];
};

/** Pods that Harbor makes, each of which every profile admits. */
export const harborPods: ReadonlyMap<string, SandboxPod> = new Map([
  ["default", harborPod()],
  [
    "with resources overridden",
    changed(({ spec }) => {
      spec.containers[0].resources = {
        requests: { cpu: "2", memory: "4Gi" },
        limits: { memory: "16Gi", "ephemeral-storage": "10Gi" },
      };
    }),
  ],
  ["with the runtime image", changed(runtime)],
  [
    "of validation",
    changed((pod) => {
      runtime(pod);
      pod.spec["activeDeadlineSeconds"] = 9000;
    }),
  ],
  ["without a deadline", changed(({ spec }) => delete spec["activeDeadlineSeconds"])],
  [
    "with an init container of its own",
    changed(({ spec }) => {
      spec["initContainers"] = [{ name: "prepare", image: "busybox:1.36", command: ["true"] }];
    }),
  ],
]);

const main = (change: (container: Container) => void): SandboxPod =>
  changed(({ spec }) => {
    change(spec.containers[0]);
  });
const spec = (fields: Record<string, unknown>): SandboxPod =>
  changed((pod) => Object.assign(pod.spec, fields));
const secured = (context: object): SandboxPod =>
  main((container) => (container["securityContext"] = context));
const volume = (source: object): SandboxPod =>
  changed((pod) => pod.spec.volumes.push({ name: "more", ...source }));

/** What breaks exactly one rule of the profile `standard`, with the rule's name. */
export const violations: readonly [rule: string, what: string, pod: SandboxPod][] = [
  ["host-namespaces", "the node's network", spec({ hostNetwork: true })],
  ["host-namespaces", "the node's processes", spec({ hostPID: true })],
  ["host-namespaces", "the node's shared memory", spec({ hostIPC: true })],
  ["volumes", "a directory of the node", volume({ hostPath: { path: "/" } })],
  ["volumes", "the container runtime's socket", volume({ hostPath: { path: "/run/containerd" } })],
  ["volumes", "a Secret", volume({ secret: { secretName: "any" } })],
  ["volumes", "a ConfigMap", volume({ configMap: { name: "any" } })],
  ["volumes", "a claim", volume({ persistentVolumeClaim: { claimName: "any" } })],
  ["volumes", "an NFS export", volume({ nfs: { server: "10.0.0.9", path: "/" } })],
  [
    "volumes",
    "a projected token",
    volume({ projected: { sources: [{ serviceAccountToken: { path: "token" } }] } }),
  ],
  ["volumes", "the API server's token", spec({ automountServiceAccountToken: true })],
  ["memory-volumes", "memory without a limit", volume({ emptyDir: { medium: "Memory" } })],
  [
    "host-ports",
    "a port of the node",
    main((container) => (container["ports"] = [{ containerPort: 80, hostPort: 8080 }])),
  ],
  ["node-name", "a node of its choice", spec({ nodeName: "gpu-0" })],
  ["scheduler", "a scheduler of its own", spec({ schedulerName: "other" })],
  ["priority", "the priority of training", spec({ priorityClassName: "STACK-training" })],
  [
    "gpus",
    "a GPU",
    main(({ resources }) => {
      resources!.limits!["nvidia.com/gpu"] = "1";
      resources!.requests!["nvidia.com/gpu"] = "1";
    }),
  ],
  ["privileged", "a privileged container", secured({ privileged: true })],
  ["capabilities", "NET_ADMIN", secured({ capabilities: { add: ["NET_ADMIN"] } })],
  ["capabilities", "NET_RAW", secured({ capabilities: { add: ["NET_RAW"] } })],
  ["capabilities", "SYS_ADMIN", secured({ capabilities: { add: ["SYS_ADMIN"] } })],
  ["capabilities", "SYS_PTRACE", secured({ capabilities: { add: ["SYS_PTRACE"] } })],
  ["capabilities", "CHOWN", secured({ capabilities: { add: ["CHOWN"] } })],
  [
    "proc-mount",
    "an unmasked /proc",
    changed((pod) => {
      pod.spec["hostUsers"] = false;
      pod.spec.containers[0]["securityContext"] = { procMount: "Unmasked" };
    }),
  ],
  [
    "volumes",
    "a device of the node",
    volume({ hostPath: { path: "/dev/kvm", type: "CharDevice" } }),
  ],
  ["seccomp", "no seccomp", secured({ seccompProfile: { type: "Unconfined" } })],
  [
    "seccomp",
    "no seccomp in the whole pod",
    spec({ securityContext: { seccompProfile: { type: "Unconfined" } } }),
  ],
  ["apparmor", "no AppArmor", secured({ appArmorProfile: { type: "Unconfined" } })],
  [
    "sysctls",
    "a kernel parameter",
    spec({
      securityContext: { sysctls: [{ name: "net.ipv4.ip_local_port_range", value: "1 9" }] },
    }),
  ],
  ["service-account", "another account", spec({ serviceAccountName: "other" })],
  [
    "secret-environment",
    "a variable from a Secret",
    main((container) => {
      container["env"] = [
        { name: "KEY", valueFrom: { secretKeyRef: { name: "any", key: "any" } } },
      ];
    }),
  ],
  [
    "secret-environment",
    "all variables of a ConfigMap",
    main((container) => (container["envFrom"] = [{ configMapRef: { name: "any" } }])),
  ],
  ["deadline", "a deadline of ten hours", spec({ activeDeadlineSeconds: 36000 })],
  [
    "memory-limit",
    "more memory than planned",
    main(({ resources }) => (resources!.limits!["memory"] = "33Gi")),
  ],
  [
    "ephemeral-storage-limit",
    "more scratch space than planned",
    main(({ resources }) => (resources!.limits!["ephemeral-storage"] = "33Gi")),
  ],
  ["restart-policy", "restarts", spec({ restartPolicy: "Always" })],
  ["run-label", "no run label", changed(({ metadata }) => delete metadata.labels["harbor-run"])],
  [
    "run-label",
    "another run's label",
    changed(({ metadata }) => (metadata.labels["harbor-run"] = "other")),
  ],
  [
    "finalizers",
    "a finalizer",
    changed(({ metadata }) => (metadata["finalizers"] = ["example.com/keep"])),
  ],
  [
    "entry-gate",
    "a gate of its own, as an init container",
    spec({ initContainers: [{ name: "entry-gate", image: "busybox:1.36", command: ["true"] }] }),
  ],
  [
    "entry-gate",
    "our gate's name behind another",
    spec({
      initContainers: [
        { name: "first", image: "busybox:1.36", command: ["true"] },
        { name: "entry-gate", image: "busybox:1.36", command: ["true"] },
      ],
    }),
  ],
];

/** What breaks one rule where Harbor's pods must come complete, since nothing completes them. */
export const incompletions: readonly [
  rule: string,
  what: string,
  change: (pod: SandboxPod) => void,
][] = [
  ["node-selector", "no node selector", ({ spec }) => delete spec["nodeSelector"]],
  [
    "tolerations",
    "the taint of GPU nodes",
    ({ spec }) => {
      (spec["tolerations"] as object[]).push({ key: "nvidia.com/gpu", operator: "Exists" });
    },
  ],
  ["tolerations", "every taint", ({ spec }) => (spec["tolerations"] = [{ operator: "Exists" }])],
  [
    "service-account-token",
    "the token asked for",
    ({ spec }) => (spec["automountServiceAccountToken"] = true),
  ],
  ["deadline", "no deadline", ({ spec }) => delete spec["activeDeadlineSeconds"]],
  ["entry-gate", "no gate", ({ spec }) => delete spec["initContainers"]],
  ["entry-gate", "another image", gate((container) => (container.image = "busybox:1.36"))],
  ["entry-gate", "another program", gate((container) => (container.command = ["true"]))],
  [
    "entry-gate",
    "another address to ask",
    gate((container) => {
      const [first] = container["env"] as { value: string }[];
      if (first) first.value = "127.0.0.1:1";
    }),
  ],
  [
    "entry-gate",
    "a variable more",
    gate((container) => (container["env"] as object[]).push({ name: "PATH", value: "/tmp" })),
  ],
  ["entry-gate", "arguments", gate((container) => (container["args"] = ["--help"]))],
  [
    "entry-gate",
    "a volume of the sandbox",
    gate((container) => (container["volumeMounts"] = [{ name: "tmp", mountPath: "/usr" }])),
  ],
  [
    "entry-gate",
    "a sidecar that blocks nothing",
    gate((container) => (container["restartPolicy"] = "Always")),
  ],
  [
    "entry-gate",
    "a place behind another",
    ({ spec }) => {
      (spec["initContainers"] as Container[]).unshift({
        name: "first",
        image: "busybox:1.36",
        command: ["true"],
        resources: { limits: { memory: "64Mi", "ephemeral-storage": "1Gi" } },
      });
    },
  ],
];

function gate(change: (container: Container) => void): (pod: SandboxPod) => void {
  return ({ spec }) => {
    const [first] = spec["initContainers"] as Container[];
    if (first) change(first);
  };
}
