import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { type Role, roleLabel } from "../../plan/network/index.ts";
import type { RayPod, RayPorts } from "../../plan/ray/index.ts";
import type { EnvironmentVariable, TrainingSecret } from "../../plan/verl/index.ts";
import type { ResolveImage } from "../images/reference.ts";
import { type Labels, labelsOf } from "../metadata.ts";
import { ofGroup, podBasis } from "../pod.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";

type PodTemplateSpec = k8s.types.input.core.v1.PodTemplateSpec;
type EnvVar = k8s.types.input.core.v1.EnvVar;
type ContainerPort = k8s.types.input.core.v1.ContainerPort;

/** A claim and where the pods see it. */
export interface Mount {
  readonly name: string;
  readonly claimName: pulumi.Input<string>;
  readonly mountPath: string;
  readonly readOnly: boolean;
}

/** What all pods of a Ray cluster have in common. */
export interface RayPodBase {
  readonly labels: Labels;
  readonly annotations: Readonly<Record<string, string>>;
  readonly image: pulumi.Input<string>;
  readonly serviceAccount: pulumi.Input<string>;
  readonly environment: readonly EnvVar[];
  readonly mounts: readonly Mount[];
  /** Owns what is in the volumes. */
  readonly group: number | undefined;
  readonly ports: RayPorts;
}

/** What a role adds. */
export interface RayPodRole {
  readonly role: Extract<Role, "ray-head" | "ray-worker">;
  readonly containerPorts: readonly ContainerPort[];
  readonly environment: readonly EnvVar[];
  /** ConfigMap with programs, and where it is mounted. */
  readonly programs?: { readonly configMap: pulumi.Input<string>; readonly mountPath: string };
}

export function rayPodTemplate(base: RayPodBase, pod: RayPod, role: RayPodRole): PodTemplateSpec {
  const gpus = pod.gpus > 0 ? { [pod.gpuResource]: String(pod.gpus) } : {};
  const { from, to } = base.ports.ephemeral;
  return {
    metadata: {
      labels: {
        ...labelsOf({ labels: base.labels, app: "ray", component: role.role }),
        [roleLabel]: role.role,
      },
      annotations: { ...base.annotations },
    },
    spec: {
      ...podBasis(pod, base.serviceAccount),
      securityContext: {
        seccompProfile: { type: "RuntimeDefault" },
        ...ofGroup(base.group),
        // Whatever binds port 0 here lands in this range, which holds none of Ray's own ports; policies open no other for a proxy in process.
        sysctls: [{ name: "net.ipv4.ip_local_port_range", value: `${from} ${to}` }],
      },
      containers: [
        {
          name: role.role,
          image: base.image,
          securityContext: { allowPrivilegeEscalation: false },
          env: [...base.environment, ...role.environment],
          ports: [...role.containerPorts],
          resources: {
            requests: { cpu: String(pod.cpus), memory: String(pod.memoryBytes), ...gpus },
            limits: { memory: String(pod.memoryBytes), ...gpus },
          },
          volumeMounts: [
            { name: "shm", mountPath: "/dev/shm" },
            ...base.mounts.map(({ name, mountPath, readOnly }) => ({ name, mountPath, readOnly })),
            ...(role.programs
              ? [{ name: "programs", mountPath: role.programs.mountPath, readOnly: true }]
              : []),
          ],
        },
      ],
      volumes: [
        {
          name: "shm",
          emptyDir: { medium: "Memory", sizeLimit: String(pod.sharedMemoryBytes) },
        },
        ...base.mounts.map(({ name, claimName, readOnly }) => ({
          name,
          persistentVolumeClaim: { claimName, readOnly },
        })),
        ...(role.programs
          ? [{ name: "programs", configMap: { name: role.programs.configMap } }]
          : []),
      ],
    },
  };
}

/** The Plan's variables as a container takes them. */
export function containerEnvironment(
  environment: readonly EnvironmentVariable[],
  known: {
    secrets: Readonly<Record<TrainingSecret, SecretKey>>;
    /** undefined where nothing refers to it: proxy mode `in_process`. */
    proxyUrl: pulumi.Input<string> | undefined;
    /** Where a value names an image. */
    image: ResolveImage;
  },
): EnvVar[] {
  return environment.map((variable) => {
    if ("secret" in variable) return fromSecret(variable.name, known.secrets[variable.secret]);
    if ("deferred" in variable) {
      const url = pulumi.interpolate`${known.proxyUrl}${variable.suffix ?? ""}`;
      return { name: variable.name, value: url };
    }
    return { name: variable.name, value: known.image(variable.value) };
  });
}
