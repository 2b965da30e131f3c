export { type ImageBuild, type ImageBuilds, imageBuilds, usedBuilds } from "./builds.ts";
