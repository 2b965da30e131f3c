import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Placement } from "../plan/nodes/index.ts";
import type { Requests } from "../plan/requests.ts";

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

/** What a program of ours that only talks to sockets needs: nothing. Admits of pod security `restricted`. */
export const hardened = {
  runAsNonRoot: true,
  runAsUser: 65532,
  runAsGroup: 65532,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};
