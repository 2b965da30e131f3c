import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { preflight } from "../../../preflight/preflight.ts";
import { dockerSiteYaml, FakeDaemon, onDocker, soundDaemon } from "../../support/docker.ts";

/** What depends on the disk of this machine, and what the shipped experiment is warned of on every host. */
const ofTheExperiment = new Set<string>(["docker-disk", "C-15", "C-33", "inputs"]);

/** What is not well, as `id severity: found`. Ports of the run are those of the test and below the range of outgoing connections, so that nothing of this machine matters. */
async function findings(host: string, experiment = "", site = ""): Promise<string[]> {
  const loaded = onDocker(
    `infrastructure: { litellm_port: 28002, ray_dashboard_port: 28265 }\n${experiment}`,
    { site: `${dockerSiteYaml}docker: { host: "${host}" }\n${site}` },
  );
  const { findings } = await preflight(loaded);
  return findings
    .filter(({ severity, id }) => severity !== "ok" && !ofTheExperiment.has(id))
    .map(({ id, severity, found }) => `${id} ${severity}: ${found}`);
}

async function withDaemon(change: Record<string, unknown>): Promise<string[]> {
  await using daemon = await FakeDaemon.start(change);
  return await findings(`unix://${daemon.socket}`);
}

const info = soundDaemon["/info"] as object;

describe("preflight of a Docker host", () => {
  it("asks for no image that the stack builds", async () => {
    await using daemon = await FakeDaemon.start();
    const site = dockerSiteYaml.replace(/images: .*/, "images: { build: {} }");
    const loaded = onDocker("", {
      base: "single-node-stock",
      site: `${site}docker: { host: "unix://${daemon.socket}" }\n`,
    });
    const { findings } = await preflight(loaded);
    const asked = daemon.asked.filter((request) => request.includes("/images/"));
    expect(asked).toEqual(["GET /images/ghcr.io%2Fberriai%2Flitellm-non_root%3Av1.106.2/json"]);
    expect(findings.find(({ id }) => id === "docker-images")).toMatchObject({
      severity: "ok",
      found: "all of them that the stack does not build",
    });
  });

  it("finds nothing wrong where all is well, and only reads", async () => {
    await using daemon = await FakeDaemon.start();
    expect(await findings(`unix://${daemon.socket}`)).toEqual([]);
    expect(daemon.asked.every((request) => request.startsWith("GET "))).toBe(true);
  });

  it("says once that the daemon is away", async () => {
    expect(await findings("unix:///nonexistent/docker.sock")).toEqual([
      "C-31 fatal: there is no socket at unix:///nonexistent/docker.sock: is the daemon running?",
    ]);
  });

  it("says within seconds that nothing answers", async () => {
    await using daemon = await SilentDaemon.start();
    const began = Date.now();
    expect(await findings(`tcp://127.0.0.1:${daemon.port}`)).toEqual([
      `C-31 fatal: nothing answers at tcp://127.0.0.1:${daemon.port} in time`,
    ]);
    expect(Date.now() - began).toBeLessThan(4000);
  });

  it.each<[string, Record<string, unknown>, string[]]>([
    [
      "no GPU runtime",
      { "/info": { ...info, Runtimes: { runc: {} } } },
      ["docker-gpu-runtime fatal: runtimes runc"],
    ],
    [
      "too few GPUs",
      { "/info": { ...info, DiscoveredDevices: [{ ID: "nvidia.com/gpu=0" }] } },
      ["docker-gpus fatal: 1 GPUs"],
    ],
    [
      "a daemon that lists no devices",
      { "/info": { ...info, DiscoveredDevices: undefined } },
      ["docker-gpus unknown: not known: the daemon lists no devices"],
    ],
    [
      "too little memory",
      { "/info": { ...info, MemTotal: 64 * 2 ** 30 } },
      ["docker-memory fatal: 64Gi"],
    ],
    [
      "no limits",
      { "/info": { ...info, MemoryLimit: false } },
      ["docker-cgroups fatal: cgroup v2 without limits for memory"],
    ],
    [
      "an old daemon",
      { "/version": { Version: "19.03.15", ApiVersion: "1.40", Os: "linux" } },
      ["C-31 fatal: Docker 19.03.15, API 1.40", "docker-isolation fatal: Docker 19.03.15 on linux"],
    ],
    [
      "a container of somebody else",
      { "/containers/json": [{ Names: ["/run-trainer"], Labels: {} }] },
      ["docker-names fatal: container run-trainer belongs to another owner"],
    ],
    [
      "a network of somebody else in the same place",
      {
        "/networks": [
          { Name: "bridge", Labels: {}, IPAM: { Config: [{ Subnet: "172.17.0.0/16" }] } },
          { Name: "other", Labels: {}, IPAM: { Config: [{ Subnet: "172.30.246.0/24" }] } },
        ],
      },
      ["docker-networks fatal: 172.30.244.0/22 of run-sandbox overlaps 172.30.246.0/24 of other"],
    ],
    [
      "a port that a container has",
      { "/containers/json": [{ Names: ["/web"], Labels: {}, Ports: [{ PublicPort: 28002 }] }] },
      ["docker-ports fatal: port 28002 is taken by container web"],
    ],
  ])("names %s", async (_, change, expected) => {
    expect(await withDaemon(change)).toEqual(expected);
  });

  it("takes what the stack itself left behind", async () => {
    const labels = { "swe-rl.dev/stack": "run" };
    expect(
      await withDaemon({
        "/volumes": { Volumes: [{ Name: "run-checkpoints", Labels: labels }] },
        "/networks": [
          { Name: "run-train", Labels: labels, IPAM: { Config: [{ Subnet: "172.30.240.0/24" }] } },
        ],
        "/containers/json": [
          { Names: ["/run-litellm"], Labels: labels, Ports: [{ PublicPort: 28002 }] },
        ],
      }),
    ).toEqual([]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["there is none", {}, ""],
    ["it holds", proofContainer(0), "earlier"],
    ["it failed", proofContainer(3), "0123456789ab"],
    ["its firewall was stopped", { ...proofContainer(0), ...firewall("exited") }, "0123456789ab"],
    ["its firewall runs", { ...proofContainer(0), ...firewall("running") }, "earlier"],
  ])("repeats the egress proof unless it holds: %s", async (_, change, attempt) => {
    await using daemon = await FakeDaemon.start(change);
    const site = `${dockerSiteYaml}docker: { host: "unix://${daemon.socket}" }\n`;
    expect(await preflight(onDocker("", { site, stack: "run" }))).toMatchObject({
      attempts: { proof: attempt },
    });
  });

  it.each([
    ["it failed", 8, "fedcba987654"],
    ["it holds", 0, "before"],
  ])("repeats the check of the policy unless it holds: %s", async (_, code, policyCheck) => {
    const check = {
      Id: "fedcba9876543210",
      State: { ExitCode: code },
      Config: { Labels: { "swe-rl.dev/attempt": "before" } },
    };
    await using daemon = await FakeDaemon.start({ "/containers/run-policy-check/json": check });
    const site = `${dockerSiteYaml}docker: { host: "unix://${daemon.socket}" }\n`;
    expect(await preflight(onDocker("", { site, stack: "run" }))).toMatchObject({
      attempts: { proof: "", policyCheck },
    });
  });

  it("names a port that a program of this machine has", async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const other = createServer().listen(28265, "127.0.0.1", () => {
      resolve(undefined);
    });
    await promise;
    try {
      expect(await withDaemon({})).toEqual([
        "docker-ports fatal: port 28265 is taken by a program of this machine",
      ]);
    } finally {
      other.close();
    }
  });
});

function proofContainer(code: number): Record<string, unknown> {
  return {
    "/containers/run-egress-proof/json": {
      Id: "0123456789abcdef",
      State: { ExitCode: code },
      Config: { Labels: { "swe-rl.dev/attempt": "earlier" } },
    },
  };
}

function firewall(state: string): Record<string, unknown> {
  const labels = { "swe-rl.dev/stack": "run" };
  const container = { Names: ["/run-sandbox-firewall"], Labels: labels, State: state };
  return { "/containers/json": [container] };
}

/** Takes connections, and never answers. */
class SilentDaemon implements AsyncDisposable {
  readonly #server = createServer((socket) => socket.resume());

  static async start(): Promise<SilentDaemon> {
    const daemon = new SilentDaemon();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    daemon.#server.listen(0, "127.0.0.1", () => {
      resolve(undefined);
    });
    await promise;
    return daemon;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address ? address.port : 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }
}
