import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Loaded } from "../../config/load/load.ts";
import { ConfigFolder, projectRoot } from "./settings.ts";

export const repository = "registry.example.com/team/swe-rl";

/** What a built image's digest would be, by its name. */
export const digestOf = (name: string) => `${repository}/${name}@sha256:${"ab".repeat(32)}`;

const lab = readFileSync(join(projectRoot, "config/sites/lab.yaml"), "utf8");
const named = "training: swe-rl.invalid/training:lab";

/** Settings of a stack on the lab's site, which builds its images. */
export function building(
  experiment = "",
  { build = `{ repository: ${repository} }`, base = "single-node-stock" } = {},
): Loaded {
  if (!lab.includes(named)) throw new Error("the lab's site names another image");
  using folder = new ConfigFolder();
  folder.write("sites/building.yaml", lab.replace(named, `build: ${build}`));
  folder.write("run.yaml", `extends: ${base}.yaml\n${experiment}`);
  return folder.load({ site: "building" });
}
