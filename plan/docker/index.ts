export { type DockerHost, type DockerMount, type DockerNetwork, planDockerHost } from "./host.ts";
