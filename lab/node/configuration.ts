/** Configuration files of the node's parts. Paths in them are those inside the namespace. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { writeWhole } from "../files.ts";
import type { LabPaths } from "../paths.ts";
import { identities, type Identity } from "./certificates.ts";
import {
  apiAddress,
  containerdSocket,
  dnsService,
  nodeAddress,
  nodeFiles,
  nodeName,
  podRange,
  pretended,
  sockets,
} from "./layout.ts";
import { imageNames } from "./layout.ts";

/** Names of the files, relative to the folder of the configuration. */
export const configurationFiles = {
  containerd: "containerd.toml",
  network: "cni/10-pods.conflist",
  resolver: "resolv.conf",
  kubelet: "kubelet.yaml",
  kubeProxy: "kube-proxy.yaml",
} as const;

export function kubeconfigFile(identity: Identity): string {
  return `${identity}.kubeconfig`;
}

export function writeConfiguration(paths: LabPaths, apiPort: number): void {
  const { configuration } = nodeFiles(paths);
  for (const [name, text] of Object.entries(texts(paths))) {
    writeWhole(join(configuration, name), text);
  }
  for (const identity of Object.keys(identities) as Identity[]) {
    const text = kubeconfig(paths, identity, apiPort);
    writeWhole(join(configuration, kubeconfigFile(identity)), text, 0o600);
  }
}

/** The texts by file, without those that contain keys. */
export function texts(paths: LabPaths): Readonly<Record<string, string>> {
  return {
    [configurationFiles.containerd]: containerd(paths),
    [configurationFiles.network]: JSON.stringify(network(paths), undefined, 2),
    // Nothing outside of the cluster answers.
    [configurationFiles.resolver]: `nameserver ${dnsService}\n`,
    [configurationFiles.kubelet]: stringify(kubelet(paths)),
    [configurationFiles.kubeProxy]: stringify(kubeProxy(paths)),
  };
}

function containerd(paths: LabPaths): string {
  const { inside } = nodeFiles(paths);
  const runtime = `[plugins."io.containerd.cri.v1.runtime"`;
  return `version = 3
root = "${inside}/containerd"
state = "/run/containerd"

[grpc]
address = "${containerdSocket}"

[plugins."io.containerd.internal.v1.opt"]
path = "${inside}/opt"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "${imageNames.pause}"

[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "127.0.0.1"

${runtime}]
# Without CAP_SYS_RESOURCE a container cannot be made less likely to be killed for memory.
restrict_oom_score_adj = true

${runtime}.cni]
bin_dirs = [${JSON.stringify(paths.bin)}]
conf_dir = "${inside}/configuration/cni"

${runtime}.containerd]
default_runtime_name = "runc"

${runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

${runtime}.containerd.runtimes.runc.options]
BinaryName = ${JSON.stringify(join(paths.bin, "runc"))}
SystemdCgroup = false
`;
}

/** A pair of interfaces per pod, routed by the node. Packets keep the pod's address: policies go by it. */
function network(paths: LabPaths): object {
  return {
    cniVersion: "1.0.0",
    name: "pods",
    plugins: [
      {
        type: "ptp",
        ipMasq: false,
        ipam: {
          type: "host-local",
          dataDir: `${nodeFiles(paths).inside}/addresses`,
          ranges: [[{ subnet: podRange }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
    ],
  };
}

function kubelet(paths: LabPaths): object {
  const { id, inside } = nodeFiles(paths);
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: nodeAddress,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${inside}/pki/ca.crt` },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${id}`,
    clusterDNS: [dnsService],
    clusterDomain: "cluster.local",
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    // The disk is the machine's: the share that is free says nothing about this node.
    evictionHard: {
      "memory.available": "200Mi",
      "nodefs.available": "1%",
      "nodefs.inodesFree": "1%",
      "imagefs.available": "1%",
    },
    failCgroupV1: false,
    failSwapOn: false,
    featureGates: { ImageVolume: true },
    // No registry has the images, so none may be removed.
    imageGCHighThresholdPercent: 100,
    maxPods: pretended.pods,
    podLogsDir: `${inside}/logs`,
    resolvConf: `${inside}/configuration/${configurationFiles.resolver}`,
    volumePluginDir: `${inside}/volume-plugins`,
  };
}

function kubeProxy(paths: LabPaths): object {
  const { inside } = nodeFiles(paths);
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    bindAddress: nodeAddress,
    clusterCIDR: podRange,
    hostnameOverride: nodeName,
    clientConnection: {
      kubeconfig: `${inside}/configuration/${kubeconfigFile("kube-proxy")}`,
    },
    // These would be settings of the whole machine.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    iptables: { localhostNodePorts: false },
  };
}

function kubeconfig(paths: LabPaths, identity: Identity, apiPort: number): string {
  const { pki } = nodeFiles(paths);
  const encoded = (file: string) => readFileSync(file).toString("base64");
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "lab",
    contexts: [{ name: "lab", context: { cluster: "lab", user: identity } }],
    clusters: [
      {
        name: "lab",
        cluster: {
          server: `https://${apiAddress}:${apiPort}`,
          "certificate-authority-data": encoded(join(pki, "ca.crt")),
        },
      },
    ],
    users: [
      {
        name: identity,
        user: {
          "client-certificate-data": encoded(join(pki, `${identity}.crt`)),
          "client-key-data": encoded(join(pki, `${identity}.key`)),
        },
      },
    ],
  });
}

/** Makes the API server reach kubelet and pods through the gateway. */
export function egressSelector(paths: LabPaths): object {
  return {
    apiVersion: "apiserver.k8s.io/v1beta1",
    kind: "EgressSelectorConfiguration",
    egressSelections: [
      {
        name: "cluster",
        connection: {
          proxyProtocol: "HTTPConnect",
          transport: { uds: { udsName: join(nodeFiles(paths).sockets, sockets.toNode) } },
        },
      },
    ],
  };
}
