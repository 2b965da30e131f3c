import type { Problem, SettingPath } from "../problem.ts";
import { locate, type Layers } from "./layers.ts";

/** Settings of the original system that have no meaning here, with the reason; `harmless` values raise no warning. */
const ineffective: readonly { path: SettingPath; reason: string; harmless?: unknown }[] = [
  { path: ["meta_info"], reason: "describes a block of the original pipeline" },
  {
    path: ["runtime_info", "output"],
    reason: "outputs are fixed; `pulumi stack output` shows them",
  },
  {
    path: ["environment"],
    reason: "the training image brings its Python environment (site: images.training)",
  },
  { path: ["k8s", "kubeconfig"], reason: "the site names the cluster (cluster.context)" },
  {
    path: ["k8s", "namespace"],
    reason: "trials run in the stack's own namespace, so that experiments share nothing",
    harmless: "default",
  },
  { path: ["infrastructure", "node0_ip"], reason: "KubeRay gives the head its address" },
  {
    path: ["experiment", "trajectory_logger_src"],
    reason: "the proxy brings its own trajectory recorder",
  },
  { path: ["harbor_agent", "docker_host"], reason: "this site is a Kubernetes cluster" },
  {
    path: ["harbor_agent", "environment_force_build"],
    reason: "Harbor's Kubernetes backend only pulls",
    harmless: false,
  },
];

/** A warning for every setting that is written down but has no effect. */
export function findIneffective(layers: Layers): Problem[] {
  return ineffective.flatMap(({ path, reason, harmless }) => {
    const file = layers.files.find((candidate) => candidate.locate(path));
    if (!file) return [];
    const value = path.reduce<unknown>(
      (inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key],
      layers.settings,
    );
    if (isBlank(value) && file.settings[String(path[0])] !== undefined) return [];
    if (harmless !== undefined && value === harmless) return [];
    return [{ path, message: `has no effect: ${reason}`, location: locate(layers.files, path) }];
  });
}

function isBlank(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && Object.values(value).every(isBlank);
}
