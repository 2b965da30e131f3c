import type { Problem, SettingPath } from "./problem.ts";
import type { Site } from "../schema/sites.ts";
import { locate, type Layers } from "./layers.ts";

interface Ineffective {
  readonly path: SettingPath;
  readonly reason: string;
  /** Value that raises no warning. */
  readonly harmless?: unknown;
  /** Kind of site that it has no meaning on. Default: every kind. */
  readonly only?: Site["kind"];
}

/** Settings of the original system that have no meaning here, with the reason. */
const ineffective: readonly Ineffective[] = [
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
  {
    path: ["harbor_agent", "docker_host"],
    reason: "a site of kind docker names its daemon itself",
  },
  {
    path: ["harbor_agent", "environment_force_build"],
    reason: "Harbor's Kubernetes backend only pulls",
    harmless: false,
    only: "kubernetes",
  },
];

/** A warning for every setting that is written down but has no effect. */
export function findIneffective(layers: Layers, kind: Site["kind"]): Problem[] {
  return ineffective.flatMap(({ path, reason, harmless, only = kind }) => {
    if (only !== kind) return [];
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
