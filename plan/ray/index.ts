export {
  fixedRayPorts,
  planRay,
  type Ray,
  type RayPod,
  type RayPorts,
  rayWorkerPorts,
} from "./ray.ts";
