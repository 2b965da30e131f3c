/** Rules about what one machine with Docker can be, by its settings alone. */
import { capacityOf, flawOf, overlap } from "../../plan/network/index.ts";
import { localDockerEnvironment } from "../../plan/verl/index.ts";
import { defineRule } from "../rule.ts";

const cannotRun = "the run could not work on this host";

export const singleNode = defineRule({
  id: "docker-single-node",
  title: "a tier with one GPU node, where the site is a Docker host",
  severity: "fatal",
  consequence: "there is no second node",
  remedy: "choose tier single-node, or a site of kind kubernetes",
  source: "docs/docker.md",
  unwaivable: "one host has no second node",
  *check({ plan: { dockerHost, topology } }) {
    if (!dockerHost || topology.gpuNodes === 1) return;
    yield {
      path: ["tier"],
      found: `is ${topology.tier} with ${topology.gpuNodes} GPU nodes, but the site is one Docker host`,
    };
  },
});

export const liteLlmOnly = defineRule({
  id: "docker-proxy-mode",
  title: "proxy mode litellm on a Docker host",
  severity: "fatal",
  consequence:
    "sandboxes would have to reach the training container itself; on a Docker host only LiteLLM is in both networks",
  remedy: "set litellm",
  source: "docs/docker.md",
  unwaivable: cannotRun,
  *check({ plan: { dockerHost, proxy } }) {
    if (!dockerHost || proxy.mode === "litellm") return;
    yield { path: ["proxy", "mode"], found: "is in_process" };
  },
});

export const noFrozenModels = defineRule({
  id: "docker-frozen-models",
  title: "no frozen models on a Docker host",
  severity: "fatal",
  consequence: "they would find no GPU, since the training container takes all of them",
  remedy: "leave serving out, or choose a site of kind kubernetes",
  source: "docs/docker.md",
  unwaivable: cannotRun,
  *check({ settings: { experiment }, plan: { dockerHost } }) {
    if (!dockerHost || experiment.serving.length === 0) return;
    yield { path: ["serving"], found: `names ${experiment.serving.length} frozen models` };
  },
});

export const encryptedDaemon = defineRule({
  id: "C-30",
  title: "no daemon on the port without encryption",
  severity: "fatal",
  consequence: "every program that reaches the port is root on the host",
  remedy:
    "use port 2376 with client certificates (dockerd --tlsverify), or waive C-30 with a reason",
  source: "docs/decisions.md#c-30",
  *check({ plan: { dockerHost } }) {
    if (!dockerHost?.host.endsWith(":2375")) return;
    yield {
      path: ["site", "docker", "host"],
      found: `is ${dockerHost.host}, a port without encryption`,
    };
  },
});

/** Secrets that a daemon behind TLS asks for. */
const certificates = ["dockerCa", "dockerCert", "dockerKey"] as const;

export const clientCertificates = defineRule({
  id: "docker-certificates",
  title: "client certificates for a daemon behind TLS",
  severity: "fatal",
  consequence: "the daemon refuses the connection",
  remedy: "store dockerCa, dockerCert and dockerKey as stack secrets",
  source: "https://docs.docker.com/engine/security/protect-access/",
  unwaivable: "the daemon would refuse every request",
  *check({ settings: { secrets }, plan: { dockerHost } }) {
    if (!dockerHost?.host.startsWith("tcp://") || dockerHost.host.endsWith(":2375")) return;
    const missing = secrets ? certificates.filter((name) => !secrets.has(name)) : [];
    if (missing.length === 0) return;
    yield {
      path: ["site", "docker", "host"],
      found: `is ${dockerHost.host}, but the stack has no secret ${missing.join(", ")}`,
      remedy: `store each: pulumi config set --secret swe-rl:${missing[0] ?? ""} < FILE`,
    };
  },
});

/** Containers of ours that take any address of the sandbox network: the egress proof. */
const ownAddresses = 1;

export const subnets = defineRule({
  id: "docker-subnets",
  title: "two networks that do not overlap, with an address for every sandbox",
  severity: "fatal",
  consequence: "Docker refuses the network",
  remedy: "correct network.train_subnet and network.sandbox_subnet in the site file",
  source: "https://docs.docker.com/engine/network/",
  unwaivable: cannotRun,
  *check({ plan: { dockerHost, sandboxes } }) {
    if (!dockerHost) return;
    const train = dockerHost.networks.train.subnet;
    const sandbox = dockerHost.networks.sandbox.subnet;
    const at = (key: string) => ["site", "network", key];
    for (const [key, subnet] of [
      ["train_subnet", train],
      ["sandbox_subnet", sandbox],
    ] as const) {
      const flaw = flawOf(subnet);
      if (flaw !== undefined) yield { path: at(key), found: `${subnet} ${flaw}` };
    }
    if (overlap(train, sandbox)) {
      yield {
        path: at("sandbox_subnet"),
        found: `${sandbox} overlaps train_subnet ${train}`,
        consequence: "Docker refuses the second network",
      };
    }
    if (capacityOf(sandbox) < sandboxes.pods + ownAddresses) {
      yield {
        path: at("sandbox_subnet"),
        found: `${sandbox} has ${capacityOf(sandbox)} addresses in its upper half, fewer than the ${sandboxes.pods} sandboxes that may be there at once and the egress proof`,
        consequence: "sandboxes find no address",
        remedy: "choose a larger network",
      };
    }
  },
});

export const trialsPath = defineRule({
  id: "docker-trials-path",
  title: "trials under the same path on the host, for Harbor's local Docker class",
  severity: "fatal",
  consequence: "rewards would be lost: the verifier's files land in another directory",
  remedy: "leave harbor_agent.environment_import_path out",
  source: "https://pypi.org/project/harbor/0.24.0/",
  *check({ settings: { experiment }, plan: { dockerHost, storage } }) {
    // Harbor 0.25 copies the files in and out (harbor/environments/base.py, auto_mounting).
    if (experiment.verl.distribution === "stock") return;
    const isLocal = experiment.harbor_agent.environment_import_path === localDockerEnvironment;
    const trials = storage.volumes.find(({ name }) => name === "trials");
    if (!dockerHost || !isLocal || !trials) return;
    const { backing, mountPath } = trials;
    if (backing.kind === "host_path" && backing.path === mountPath) return;
    yield {
      path: ["harbor_agent", "environment_import_path"],
      found: `is Harbor's local class, which mounts the trials of the host by the path that the training container sees: ${mountPath}`,
      remedy: `set storage.trials of the site to { kind: host_path, path: ${mountPath} }, or leave the class out`,
    };
  },
});

export const openHands = defineRule({
  id: "C-33",
  title: "an OpenHands scaffold on Docker",
  severity: "warn",
  consequence: "the combination is not validated upstream, which wired only the OpenHands loop",
  remedy: "set harbor_agent.scaffold to openhands",
  source: "docs/decisions.md#c-33",
  *check({ settings: { experiment }, plan: { dockerHost, scaffold } }) {
    if (!dockerHost || ["openhands", "openhands-sdk"].includes(scaffold.name)) return;
    // Our own loop is tried with each of its scaffolds on Docker (test/training/test_loop.py).
    if (experiment.verl.distribution === "stock") return;
    yield { path: ["harbor_agent", "scaffold"], found: `is ${scaffold.name}` };
  },
});

export const sandboxBackend = defineRule({
  id: "sandbox-backend",
  title: "sandboxes on the site itself",
  severity: "fatal",
  consequence: "sandboxes would run outside the network that a stack closes",
  remedy: "leave harbor_agent.environment_import_path out",
  source: "docs/isolation.md",
  unwaivable: "nothing would isolate the sandboxes",
  *check({ settings: { experiment }, plan: { dockerHost } }) {
    const wanted = experiment.harbor_agent.environment_import_path;
    if (wanted === undefined) return;
    const path = ["harbor_agent", "environment_import_path"];
    if (dockerHost && /kubernetes/i.test(wanted)) {
      yield {
        path,
        found: `is ${wanted}, but the site is a Docker host; missing for sandboxes on a cluster: its kubeconfig as a secret, a closed namespace there, and an address of LiteLLM that its pods reach`,
        remedy: "choose a site of kind kubernetes",
      };
    }
    if (!dockerHost && /docker/i.test(wanted)) {
      yield {
        path,
        found: `is ${wanted}, but the site is a cluster; missing for sandboxes on a Docker host: its address and client certificates as secrets, a closed network there, and an address of LiteLLM that its containers reach`,
        remedy: "choose a site of kind docker",
      };
    }
  },
});
