/** Objects that a cluster with a real node needs: the rights of its parts, and name resolution. */
import type { Api, KubernetesObject } from "../control-plane/api.ts";
import { apiAddress, dnsService, imageNames, nodeName } from "./layout.ts";

const rbac = "rbac.authorization.k8s.io";
export const system = "kube-system";

/** Nothing is forwarded: no other name server can be reached. */
const corefile = `.:53 {
  errors
  health
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
    ttl 5
  }
  cache 5
}
`;

const labels = { "k8s-app": "kube-dns" };

/** By path. */
export function nodeSystemObjects(): ReadonlyMap<string, object> {
  return new Map<string, object>([
    ...rights("kube-router", { kind: "User", name: "kube-router", apiGroup: rbac }, [
      {
        apiGroups: [""],
        resources: ["endpoints", "namespaces", "nodes", "pods", "services"],
        verbs: ["get", "list", "watch"],
      },
      {
        apiGroups: ["discovery.k8s.io"],
        resources: ["endpointslices"],
        verbs: ["get", "list", "watch"],
      },
      {
        apiGroups: ["networking.k8s.io"],
        resources: ["networkpolicies"],
        verbs: ["get", "list", "watch"],
      },
    ]),
    ...rights("coredns", { kind: "ServiceAccount", name: "coredns", namespace: system }, [
      {
        apiGroups: [""],
        resources: ["endpoints", "namespaces", "pods", "services"],
        verbs: ["list", "watch"],
      },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
    ]),
    ...named("/api/v1", "serviceaccounts", {
      kind: "ServiceAccount",
      metadata: { name: "coredns" },
    }),
    ...named("/api/v1", "configmaps", {
      kind: "ConfigMap",
      metadata: { name: "coredns" },
      data: { Corefile: corefile },
    }),
    ...named("/apis/apps/v1", "deployments", {
      kind: "Deployment",
      metadata: { name: "coredns" },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: dnsPod },
      },
    }),
    ...named("/api/v1", "services", {
      kind: "Service",
      metadata: { name: "kube-dns", labels },
      spec: {
        clusterIP: dnsService,
        selector: labels,
        ports: [
          { name: "dns", port: 53, protocol: "UDP" },
          { name: "dns-tcp", port: 53, protocol: "TCP" },
        ],
      },
    }),
  ]);
}

const dnsPod = {
  serviceAccountName: "coredns",
  priorityClassName: "system-cluster-critical",
  // Its own service does not answer yet when it starts.
  dnsPolicy: "Default",
  // Stacks may taint their nodes.
  tolerations: [{ operator: "Exists" }],
  containers: [
    {
      name: "coredns",
      image: imageNames.coredns,
      imagePullPolicy: "Never",
      ports: [
        { name: "dns", containerPort: 53, protocol: "UDP" },
        { name: "dns-tcp", containerPort: 53, protocol: "TCP" },
      ],
      readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 1 },
      resources: { requests: { cpu: "100m", memory: "70Mi" }, limits: { memory: "170Mi" } },
      volumeMounts: [{ name: "config", mountPath: "/etc/coredns" }],
    },
  ],
  volumes: [{ name: "config", configMap: { name: "coredns" } }],
};

function named(
  api: string,
  plural: string,
  object: KubernetesObject & Readonly<Record<string, unknown>>,
): [path: string, object: object][] {
  const metadata = { ...object.metadata, namespace: system };
  const apiVersion = api.replace(/^\/apis?\//, "");
  return [
    [`${api}/namespaces/${system}/${plural}/${metadata.name}`, { ...object, apiVersion, metadata }],
  ];
}

function rights(
  name: string,
  subject: object,
  rules: readonly object[],
): [path: string, object: object][] {
  const full = `swe-rl-lab:${name}`;
  const common = { apiVersion: `${rbac}/v1`, metadata: { name: full } };
  return [
    [`/apis/${rbac}/v1/clusterroles/${full}`, { ...common, kind: "ClusterRole", rules }],
    [
      `/apis/${rbac}/v1/clusterrolebindings/${full}`,
      {
        ...common,
        kind: "ClusterRoleBinding",
        roleRef: { apiGroup: rbac, kind: "ClusterRole", name: full },
        subjects: [subject],
      },
    ],
  ];
}

export async function applySystemObjects(api: Api): Promise<void> {
  await Promise.all(Array.from(nodeSystemObjects(), ([path, object]) => api.apply(path, object)));
}

const endpoints = {
  list: "/api/v1/namespaces/default/endpoints/kubernetes",
  slice: "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
} as const;

/**
 * Gives the API server's own service its port. The API server makes these objects, but leaves the port of an earlier
 * control plane in them.
 */
export async function correctApiPort(api: Api, port: number): Promise<void> {
  const ports = [{ name: "https", port, protocol: "TCP" }];
  const slice = await api.get<{ readonly ports?: readonly { readonly port: number }[] }>(
    endpoints.slice,
  );
  if (!slice || slice.ports?.[0]?.port === port) return;
  await api.patch(endpoints.list, { subsets: [{ addresses: [{ ip: apiAddress }], ports }] });
  await api.patch(endpoints.slice, { ports });
}

/** Removes what only a cluster with a real node has. */
export async function removeSystemObjects(api: Api): Promise<void> {
  if (!(await api.get(nodePath))) return;
  const paths = [...nodeSystemObjects().keys(), nodePath];
  for (const path of paths) if (await api.get(path)) await api.delete(path);
}

export const nodePath = `/api/v1/nodes/${nodeName}`;

/** Has CoreDNS made anew: the API server would go on calling the one of ended namespaces ready. */
export async function restartNames(api: Api): Promise<void> {
  const path = `/api/v1/namespaces/${system}/pods`;
  const pods = await api.list<KubernetesObject>(`${path}?labelSelector=k8s-app%3Dkube-dns`);
  const options = "?gracePeriodSeconds=0";
  for (const { metadata } of pods) await api.delete(`${path}/${metadata.name}${options}`);
}
