/** The programs of the lab, in the order in which they are obtained. */
import type { GoBuild, Tool } from "./tool.ts";
import {
  engineDownload,
  etcdDownload,
  kuberayDownload,
  kubernetesDownload,
  kwokDownload,
  languageHost,
  pluginDownload,
} from "./vendors.ts";
import type { Range } from "./version.ts";

export const kubernetesVersion = "1.34.4";
const etcdVersion = "3.6.5";
const kwokVersion = "0.8.0";
const kuberayVersion = "1.6.0";
const containerdVersion = "2.2.9";

/** The newest engine that builds from the Go module proxy. */
const builtPulumi = "3.230.0";

export const catalogue: readonly Tool[] = [
  {
    name: "pulumi",
    role: "engine",
    range: { atLeast: builtPulumi, below: "4.0.0" },
    find: { on: "path", versionArgs: ["version"], beside: languageHost },
    download: engineDownload,
    build: {
      version: builtPulumi,
      module: "pulumi",
      package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
      ldflags: [`-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${builtPulumi}`],
      seconds: 170,
    },
  },
  {
    name: languageHost,
    role: "runs Pulumi programs in Node.js",
    range: { atLeast: "3.60.0", below: "4.0.0" },
    find: { on: "beside", tool: "pulumi" },
    build: {
      // The last release with the language host in a module of its own.
      version: "3.60.0",
      module: "language-nodejs",
      package: "github.com/pulumi/pulumi/sdk/v3/nodejs/cmd/pulumi-language-nodejs",
      ldflags: [],
      seconds: 15,
    },
  },
  {
    name: "pulumi-resource-kubernetes",
    role: "Pulumi's Kubernetes plugin",
    range: { atLeast: "4.18.1", below: "5.0.0" },
    find: { on: "pulumi-plugins", plugin: "kubernetes" },
    download: (platform) => pluginDownload("kubernetes", platform),
    build: {
      version: "4.18.1",
      module: "provider-kubernetes",
      package: ".",
      ldflags: [],
      seconds: 450,
      extras: {
        module: "github.com/pulumi/pulumi-kubernetes/provider/v4",
        from: "cmd/pulumi-resource-kubernetes/schema.json",
        to: "schema.json",
      },
    },
  },
  {
    name: "pulumi-resource-random",
    role: "Pulumi's random plugin",
    range: { atLeast: "4.13.0", below: "5.0.0" },
    find: { on: "pulumi-plugins", plugin: "random" },
    download: (platform) => pluginDownload("random", platform),
    standIn: {
      program: "lab/random-plugin/main.ts",
      limits: "only RandomPassword, without its bcrypt hash",
    },
  },
  {
    name: "etcd",
    role: "the API server's store",
    range: { atLeast: "3.6.0", below: "3.7.0" },
    find: { on: "path", versionArgs: ["--version"] },
    download: (platform) => etcdDownload(etcdVersion, platform),
    build: {
      version: etcdVersion,
      module: "kubernetes",
      package: "go.etcd.io/etcd/server/v3",
      ldflags: [],
      seconds: 30,
    },
  },
  kubernetes("kube-apiserver", "API server", 420),
  kubernetes("kube-controller-manager", "controllers", 70),
  kubernetes("kube-scheduler", "scheduler", 5),
  kubernetes("kubectl", "command line", 30),
  kwok("kwok", "simulates the nodes", 80),
  kwok("kwokctl", "starts the control plane", 10),
  {
    name: "kuberay-operator",
    role: "KubeRay operator",
    range: { atLeast: kuberayVersion },
    find: { on: "nowhere" },
    download: (platform) => kuberayDownload(kuberayVersion, platform),
    build: {
      version: kuberayVersion,
      module: "kuberay",
      package: "github.com/ray-project/kuberay/ray-operator",
      ldflags: [],
      seconds: 110,
      extras: {
        module: "github.com/ray-project/kuberay/ray-operator",
        from: "config/crd/bases",
        to: "crds",
      },
    },
  },
];

/** The programs of the real node that are built. Debian's containerd is too old for image volumes, and Debian has none of the others. */
export const nodeCatalogue: readonly Tool[] = [
  nodeTool("kubelet", "runs the pods", {
    version: kubernetesVersion,
    module: "kubelet",
    package: ".",
    ldflags: kubernetesStamp(),
    seconds: 260,
  }),
  nodeTool("kube-proxy", "services", {
    version: kubernetesVersion,
    module: "kubelet",
    package: "k8s.io/kubernetes/cmd/kube-proxy",
    ldflags: kubernetesStamp(),
    seconds: 15,
  }),
  containerd("containerd", "runs the containers", 65),
  containerd("containerd-shim-runc-v2", "containerd's part in a pod", 5),
  containerd("ctr", "containerd's command line", 5),
  nodeTool("kube-router", "enforces network policies", {
    version: "2.1.0",
    module: "kube-router",
    package: "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    ldflags: [],
    seconds: 125,
  }),
  nodeTool("coredns", "resolves names", {
    version: "1.12.4",
    module: "coredns",
    package: ".",
    ldflags: [],
    seconds: 85,
  }),
];

function containerd(name: string, role: string, seconds: number): Tool {
  return nodeTool(name, role, {
    version: containerdVersion,
    module: "containerd",
    package: `github.com/containerd/containerd/v2/cmd/${name}`,
    ldflags: [`-X github.com/containerd/containerd/v2/version.Version=${containerdVersion}`],
    seconds,
  });
}

function nodeTool(name: string, role: string, build: GoBuild): Tool {
  return { name, role, range: { atLeast: build.version }, find: { on: "nowhere" }, build };
}

function kubernetesStamp(): string[] {
  const [major = "", minor = ""] = kubernetesVersion.split(".");
  const stamp = "k8s.io/component-base/version";
  return [
    `-X ${stamp}.gitVersion=v${kubernetesVersion}`,
    `-X ${stamp}.gitMajor=${major}`,
    `-X ${stamp}.gitMinor=${minor}`,
  ];
}

function kubernetes(name: string, role: string, seconds: number): Tool {
  const isClient = name === "kubectl";
  // kubectl may differ by one minor version; the control plane's parts must have the same one.
  const range: Range = isClient
    ? { atLeast: "1.33.0", below: "1.36.0" }
    : { atLeast: "1.34.0", below: "1.35.0" };
  const build: GoBuild = {
    version: kubernetesVersion,
    module: "kubernetes",
    package: `k8s.io/kubernetes/cmd/${name}`,
    ldflags: kubernetesStamp(),
    seconds,
  };
  return {
    name,
    role,
    range,
    find: { on: "path", versionArgs: isClient ? ["version", "--client"] : ["--version"] },
    build,
    download: (platform) => kubernetesDownload(name, kubernetesVersion, platform),
  };
}

function kwok(name: "kwok" | "kwokctl", role: string, seconds: number): Tool {
  return {
    name,
    role,
    range: { atLeast: kwokVersion, below: "0.9.0" },
    find: { on: "path", versionArgs: ["--version"] },
    download: (platform) => kwokDownload(name, kwokVersion, platform),
    build: {
      version: kwokVersion,
      module: "kwok",
      package: `sigs.k8s.io/kwok/cmd/${name}`,
      ldflags: [],
      seconds,
    },
  };
}
