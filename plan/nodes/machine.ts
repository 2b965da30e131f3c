import type { Settings } from "../../config/load/load.ts";
import type { SettingPath } from "../../config/load/problem.ts";

/** Where a site says what a GPU machine has: a cluster has many nodes, a Docker host is one machine. */
export function machineSetting({ site }: Settings, key: "memory" | "gpu_memory"): SettingPath {
  return ["site", site.kind === "docker" ? "machine" : "gpu_nodes", key];
}
