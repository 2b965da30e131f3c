/** URLs and file names of the vendors' releases. */
import project from "../../package.json" with { type: "json" };
import type { FileDownload, ImageDownload, Platform } from "./tool.ts";

/** Downloads use the version of the SDK in package.json. */
const engineVersion = project.dependencies["@pulumi/pulumi"];
const pluginVersions = {
  kubernetes: project.dependencies["@pulumi/kubernetes"],
  random: project.dependencies["@pulumi/random"],
};

export const languageHost = "pulumi-language-nodejs";

export function engineDownload({ os, arch }: Platform): FileDownload {
  const release = `https://github.com/pulumi/pulumi/releases/download/v${engineVersion}`;
  return {
    kind: "file",
    version: engineVersion,
    url: `https://get.pulumi.com/releases/sdk/pulumi-v${engineVersion}-${os}-${arch === "amd64" ? "x64" : arch}.tar.gz`,
    checksum: { kind: "text", url: `${release}/pulumi-${engineVersion}-checksums.txt` },
    members: { pulumi: "pulumi/pulumi", [languageHost]: `pulumi/${languageHost}` },
  };
}

export function pluginDownload(
  plugin: keyof typeof pluginVersions,
  { os, arch }: Platform,
): FileDownload {
  const version = pluginVersions[plugin];
  const executable = `pulumi-resource-${plugin}`;
  const release = `https://github.com/pulumi/pulumi-${plugin}/releases/download/v${version}`;
  return {
    kind: "file",
    version,
    url: `https://get.pulumi.com/releases/plugins/${executable}-v${version}-${os}-${arch}.tar.gz`,
    checksum: { kind: "text", url: `${release}/pulumi-${plugin}_${version}_checksums.txt` },
    members: { [executable]: executable },
  };
}

export function etcdDownload(version: string, { os, arch }: Platform): FileDownload {
  const release = `https://github.com/etcd-io/etcd/releases/download/v${version}`;
  const folder = `etcd-v${version}-${os}-${arch}`;
  return {
    kind: "file",
    version,
    url: `${release}/${folder}.${os === "linux" ? "tar.gz" : "zip"}`,
    checksum: { kind: "text", url: `${release}/SHA256SUMS` },
    members: { etcd: `${folder}/etcd` },
  };
}

export function kubernetesDownload(
  name: string,
  version: string,
  { os, arch }: Platform,
): FileDownload | undefined {
  // Kubernetes publishes only kubectl for macOS.
  if (os !== "linux" && name !== "kubectl") return undefined;
  const url = `https://dl.k8s.io/release/v${version}/bin/${os}/${arch}/${name}`;
  return { kind: "file", version, url, checksum: { kind: "text", url: `${url}.sha256` } };
}

export function kwokDownload(name: string, version: string, { os, arch }: Platform): FileDownload {
  const repository = "kubernetes-sigs/kwok";
  const tag = `v${version}`;
  return {
    kind: "file",
    version,
    url: `https://github.com/${repository}/releases/download/${tag}/${name}-${os}-${arch}`,
    // KWOK publishes no checksum file.
    checksum: {
      kind: "github-release",
      url: `https://api.github.com/repos/${repository}/releases/tags/${tag}`,
    },
  };
}

/** KubeRay publishes the operator as a Linux container image, and the definitions in a Helm chart. */
export function kuberayDownload(version: string, platform: Platform): ImageDownload | undefined {
  if (platform.os !== "linux") return undefined;
  return {
    kind: "image",
    version,
    registry: "https://quay.io",
    repository: "kuberay/operator",
    tag: `v${version}`,
    platform,
    member: "manager",
    chart: {
      index: "https://ray-project.github.io/kuberay-helm/index.yaml",
      name: "kuberay-operator",
      version,
    },
  };
}
