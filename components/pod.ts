import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Placement } from "../plan/nodes/index.ts";
import type { Requests } from "../plan/requests.ts";
import { programDirectory } from "./runtime-program.ts";

/** Where pods run, and with which priority. */
export type Nodes = Placement;

/** What every pod of ours has in common: its nodes, its account, and no list of the namespace's Services in its environment. */
export function podBasis(
  nodes: Nodes,
  serviceAccount: pulumi.Input<string>,
): Pick<
  k8s.types.input.core.v1.PodSpec,
  "nodeSelector" | "tolerations" | "serviceAccountName" | "enableServiceLinks" | "priorityClassName"
> {
  return {
    serviceAccountName: serviceAccount,
    enableServiceLinks: false,
    ...(nodes.priorityClass === undefined ? {} : { priorityClassName: nodes.priorityClass }),
    nodeSelector: { ...nodes.nodeSelector },
    tolerations: nodes.tolerations.map((toleration) => ({ ...toleration })),
  };
}

/** A container's resources as Kubernetes takes them; `more` adds to requests and limits alike. */
export function resourcesOf(
  { cpus, memoryBytes, memoryLimitBytes }: Requests,
  more: Readonly<Record<string, string>> = {},
): { requests: Record<string, string>; limits: Record<string, string> } {
  const memory = (bytes: number) => `${bytes / 2 ** 20}Mi`;
  return {
    requests: { cpu: `${Math.round(cpus * 1000)}m`, memory: memory(memoryBytes), ...more },
    limits: { memory: memory(memoryLimitBytes), ...more },
  };
}

/** References to an optional Secret with registry credentials, as ServiceAccounts take them. */
export function pullSecrets(
  secret: pulumi.Input<string> | undefined,
): Pick<k8s.core.v1.ServiceAccountArgs, "imagePullSecrets"> {
  return secret === undefined ? {} : { imagePullSecrets: [{ name: secret }] };
}

/** A container without privileges, under whatever user its image has. */
export const unprivileged = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

/** Of a Job's failure policy: a drained or preempted pod only has to begin again. */
export const uncountedDisruption = {
  action: "Ignore",
  onPodConditions: [{ type: "DisruptionTarget", status: "True" }],
};

/** Of a Job whose program tells by its exit code that another pod would only fail again. */
export function failurePolicy(containerName: string, finalCodes: readonly number[]) {
  return {
    rules: [
      {
        action: "FailJob",
        onExitCodes: { operator: "In", values: [...finalCodes], containerName },
      },
      uncountedDisruption,
    ],
  };
}

/** A program that only uses sockets: pod security `restricted` admits it. */
export const hardened = {
  runAsNonRoot: true,
  runAsUser: 65532,
  runAsGroup: 65532,
  ...unprivileged,
  seccompProfile: { type: "RuntimeDefault" },
};

/**
 * Security of a pod with volumes that a group owns. Files are given to it only where the volume's root is not its
 * already: a walk through terabytes of checkpoints would delay every start.
 */
export function ofGroup(
  group: number | undefined,
): Pick<k8s.types.input.core.v1.PodSecurityContext, "fsGroup" | "fsGroupChangePolicy"> {
  return group === undefined ? {} : { fsGroup: group, fsGroupChangePolicy: "OnRootMismatch" };
}

/** Volumes of claims. */
export function claimVolumes(
  claims: readonly { readonly name: string; readonly claimName: pulumi.Input<string> }[],
): k8s.types.input.core.v1.Volume[] {
  return claims.map(({ name, claimName }) => ({ name, persistentVolumeClaim: { claimName } }));
}

/** Where a container finds its program's files. */
export const programMount = { name: "programs", mountPath: programDirectory, readOnly: true };

/** The volume of {@link programMount}. @throws {Error} If the component has no program. */
export function programVolume(
  files: pulumi.Output<string> | undefined,
): k8s.types.input.core.v1.Volume {
  if (files === undefined) throw new Error("the component has no program");
  return { name: programMount.name, configMap: { name: files } };
}
