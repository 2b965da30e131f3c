import type { Settings } from "../../config/load/load.ts";
import type { DockerFacts } from "../../config/schema/docker-site.ts";
import type { Problems } from "../problems.ts";
import type { Sandboxes } from "../sandbox/bounds.ts";
import type { Storage } from "../storage/storage.ts";
import type { Topology } from "../run/topology.ts";
import { localDockerEnvironment } from "../verl/environment/docker.ts";
import { capacityOf, flawOf, overlap } from "./subnet.ts";

interface Parts {
  readonly docker: DockerFacts;
  readonly topology: Topology;
  readonly storage: Storage;
  readonly sandboxes: Sandboxes;
}

/** Containers of ours that take any address of the sandbox network: the egress proof. */
const ownAddresses = 1;

/** What one machine with Docker cannot do, or not so. */
export function checkHost(settings: Settings, parts: Parts, problems: Problems): void {
  const { experiment } = settings;
  const { docker, topology } = parts;
  if (topology.gpuNodes > 1) {
    problems.error(
      "docker-single-node",
      ["tier"],
      `is ${topology.tier} with ${topology.gpuNodes} GPU nodes, but the site is one Docker host. Choose single-node, or a site of kind kubernetes.`,
    );
  }
  if (experiment.proxy.mode !== "litellm") {
    problems.error(
      "docker-proxy-mode",
      ["proxy", "mode"],
      "is in_process, for which sandboxes would have to reach the training container itself; on a Docker host LiteLLM alone is in both networks. Set litellm.",
    );
  }
  if (experiment.serving.length > 0) {
    problems.error(
      "docker-frozen-models",
      ["serving"],
      "names frozen models, but the training container takes all GPUs of a Docker host. Leave them out, or choose a site of kind kubernetes.",
    );
  }
  checkDaemon(settings, docker, problems);
  checkSubnets(docker, parts.sandboxes, problems);
  checkTrials(settings, parts.storage, problems);
  const { scaffold } = experiment.harbor_agent;
  if (scaffold !== undefined && !["openhands", "openhands-sdk"].includes(scaffold)) {
    problems.warn(
      "C-33",
      ["harbor_agent", "scaffold"],
      `is ${scaffold}; upstream has wired only the OpenHands loop to Docker.`,
    );
  }
}

/** Secrets that a daemon behind TLS asks for. */
const certificates = ["dockerCa", "dockerCert", "dockerKey"] as const;

function checkDaemon({ secrets }: Settings, { host }: DockerFacts, problems: Problems): void {
  if (!host.startsWith("tcp://")) return;
  const path = ["site", "docker", "host"];
  if (host.endsWith(":2375")) {
    problems.error(
      "C-30",
      path,
      `is ${host}: whoever reaches this port is root on the host, and nothing on the way is encrypted. Use port 2376 with client certificates (dockerd --tlsverify), or waive C-30 with a reason.`,
    );
    return;
  }
  if (secrets === undefined) return;
  const missing = certificates.filter((name) => !secrets.has(name));
  if (missing.length > 0) {
    problems.error(
      "docker-certificates",
      path,
      `is ${host}, but the stack has no secret ${missing.join(", ")}. Store each: pulumi config set --secret swe-rl:${missing[0] ?? ""} < FILE`,
    );
  }
}

function checkSubnets(docker: DockerFacts, sandboxes: Sandboxes, problems: Problems): void {
  const { train, sandbox } = docker.subnets;
  const at = (key: string) => ["site", "network", key];
  for (const [key, subnet] of [
    ["train_subnet", train],
    ["sandbox_subnet", sandbox],
  ] as const) {
    const flaw = flawOf(subnet);
    if (flaw !== undefined) problems.error("docker-subnets", at(key), `${subnet} ${flaw}.`);
  }
  if (overlap(train, sandbox)) {
    problems.error(
      "docker-subnets",
      at("sandbox_subnet"),
      `${sandbox} overlaps train_subnet ${train}: Docker refuses the second network.`,
    );
  }
  const needed = sandboxes.pods + ownAddresses;
  if (capacityOf(sandbox) < needed) {
    problems.error(
      "docker-subnets",
      at("sandbox_subnet"),
      `${sandbox} has ${capacityOf(sandbox)} addresses in its upper half, fewer than the ${sandboxes.pods} sandboxes that may be there at once and the egress proof. Choose a larger network.`,
    );
  }
}

/**
 * Sandboxes elsewhere than the training. For either, what is missing is named: nothing would close the other side's
 * network and give it an address of the policy.
 */
export function checkBackend({ experiment, site }: Settings, problems: Problems): void {
  const wanted = experiment.harbor_agent.environment_import_path;
  if (wanted === undefined) return;
  const path = ["harbor_agent", "environment_import_path"];
  if (site.kind === "docker" && /kubernetes/i.test(wanted)) {
    problems.error(
      "sandbox-backend",
      path,
      `is ${wanted}, but the site is a Docker host. Missing for sandboxes on a cluster: its kubeconfig as a secret, a closed namespace there, and an address of LiteLLM that its pods reach. Choose a site of kind kubernetes.`,
    );
  }
  if (site.kind === "kubernetes" && /docker/i.test(wanted)) {
    problems.error(
      "sandbox-backend",
      path,
      `is ${wanted}, but the site is a cluster. Missing for sandboxes on a Docker host: its address and client certificates as secrets, a closed network there, and an address of LiteLLM that its containers reach. Choose a site of kind docker.`,
    );
  }
}

/** Harbor's local class mounts directories of the trial by the path that it has itself, which the host must have too. */
function checkTrials({ experiment }: Settings, { volumes }: Storage, problems: Problems): void {
  if (experiment.harbor_agent.environment_import_path !== localDockerEnvironment) return;
  const trials = volumes.find(({ name }) => name === "trials");
  if (!trials) return;
  const { backing, mountPath } = trials;
  if (backing.kind === "host_path" && backing.path === mountPath) return;
  problems.error(
    "docker-trials-path",
    ["harbor_agent", "environment_import_path"],
    `is Harbor's local class, which mounts the trials of the host by the path that the training container sees: ${mountPath}. Set storage.trials of the site to { kind: host_path, path: ${mountPath} }, or leave the class out.`,
  );
}
