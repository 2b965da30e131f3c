import type { KubernetesSite } from "../../config/schema/site.ts";
import { clusterOf, ConfigFolder } from "./settings.ts";

/** The lab's site, but with nodes that Karpenter makes; `gpu` and `sandbox` are further settings of the pools. */
export function karpenterSite({ gpu = "", sandbox = "", gpuNodes = "" } = {}): KubernetesSite {
  using folder = new ConfigFolder();
  const pool = (name: string, more: string) =>
    `{ pool: { kind: karpenter, node_class: { group: karpenter.k8s.aws, kind: EC2NodeClass, name: ${name} }, requirements: [{ key: node.kubernetes.io/instance-type, values: [${name}.large] }]${more} }`;
  folder.write(
    "sites/karpenter.yaml",
    `extends: base.yaml
gpu_nodes: ${pool("gpu", gpu)}${gpuNodes} }
sandbox_nodes: ${pool("sandbox", sandbox)} }
`,
  );
  folder.write(
    "sites/base.yaml",
    `cluster: { context: kwok-swe-rl }
cpu_nodes: { selector: { pool: cpu } }
images: { training: swe-rl.invalid/training:lab }
volumes:
  models: { kind: host_path, path: /srv/models, mount_path: /models }
  data: { kind: host_path, path: /srv/data, mount_path: /data }
harbor: { task_image_registry: swe-rl.invalid/tasks, nydus_mirror: "swe-rl.invalid:5000" }
tracking: disabled
`,
  );
  return clusterOf(folder.load({ stack: "single-node", site: "karpenter" }).settings);
}
