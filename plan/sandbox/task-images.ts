import type { Settings } from "../../config/load/load.ts";
import type { Problems } from "../problems.ts";

/** Where the sandboxes' images come from. */
export function checkTaskImages({ site }: Settings, problems: Problems): void {
  const { task_image_registry: registry, inline_build: builds, nydus_mirror: mirror } = site.harbor;
  const path = ["site", "harbor", "task_image_registry"];
  if (registry === undefined && !builds) {
    problems.error(
      "C-27",
      path,
      "is not set, and harbor.inline_build is false: sandboxes have no source of task images, and their pods never start. Name the registry with the prebuilt images.",
    );
  }
  if (registry !== undefined && builds) {
    problems.error(
      "C-27",
      path,
      `is ${registry}, and harbor.inline_build is true: every trial would build its image anew. Choose one of the two.`,
    );
  }
  if (mirror === undefined) {
    problems.warn(
      "C-28",
      ["site", "harbor", "nydus_mirror"],
      "is not set: the validation images come from Docker Hub, and where nodes cannot pull from there every validation reward is 0. Name a mirror, or waive this where they can.",
    );
  }
}
