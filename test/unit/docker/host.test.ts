/** The program on a Docker site against the recorder: what is asked of the engine. What a daemon makes of it, it cannot show. */
import { execFileSync } from "node:child_process";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import type { Plan } from "../../../plan/plan.ts";
import { onDocker, provisionOnDocker } from "../../support/docker.ts";
import { upperHalf } from "../../../plan/network/index.ts";
import { record, type Recording } from "../../support/recorder.ts";
import { judge } from "../../support/settings.ts";

let recording: Recording;
let of: Plan;

beforeAll(async () => {
  const { settings } = onDocker("", { stack: "run" });
  const result = judge(settings);
  expect(result.problems).toEqual([]);
  of = result.plan;
  recording = await record(() => provisionOnDocker(of));
});

const container = (name: string) =>
  recording.one("docker:index/container:Container", name).inputs as unknown as ContainerInputs;
const containers = () =>
  recording.registrations
    .filter(({ type }) => type === "docker:index/container:Container")
    .map(({ inputs }) => inputs as unknown as ContainerInputs);

interface ContainerInputs {
  readonly name: string;
  readonly envs?: string[];
  readonly entrypoints?: string[];
  readonly labels: { label: string; value: string }[];
  readonly networksAdvanced?: { name: string; ipv4Address?: string }[];
  readonly networkMode?: string;
  readonly uploads?: unknown;
  readonly ports?: { ip: string }[];
  readonly volumes?: { volumeName?: string; hostPath?: string; containerPath: string }[];
  readonly healthcheck?: unknown;
  readonly wait?: boolean;
  readonly [key: string]: unknown;
}

/** What is made where the containers of a program fail, and with what the update ends. */
function refused(program: string): { made: string[]; errors: string[] } {
  const script = `${import.meta.dirname}/../../support/refused-docker.ts`;
  const output = execFileSync(process.execPath, [script, program], { encoding: "utf8" });
  return JSON.parse(output) as { made: string[]; errors: string[] };
}

describe("a stack on a Docker host", () => {
  it("puts LiteLLM alone into both networks", () => {
    const networks = new Map(
      containers().map(({ name, networksAdvanced, networkMode }) => [
        name,
        networksAdvanced?.map((network) => network.name) ?? [networkMode],
      ]),
    );
    expect(Object.fromEntries(networks)).toEqual({
      "run-ray-head": ["run-train"],
      "run-ray-worker": ["run-train"],
      "run-trainer": ["run-train"],
      "run-recorder": ["run-train"],
      "run-litellm": ["run-train", "run-sandbox"],
      "run-rollout-check": ["run-train"],
      "run-policy-check": ["run-train"],
      "run-reaper": ["none"],
      "run-agent-runtime": ["none"],
      "run-sandbox-firewall": ["host"],
      "run-proof-door": ["run-sandbox"],
      "run-proof-peer": ["run-sandbox"],
      "run-proof-ray": ["run-train"],
      "run-egress-proof": ["run-sandbox"],
    });
    expect(container("litellm")["sysctls"]).toEqual({ "net.ipv4.ip_forward": "0" });
  });

  it("closes the sandboxes' network, to the host as well", () => {
    const { inputs } = recording.one("docker:index/network:Network", "networks-sandbox");
    expect(inputs).toMatchObject({
      internal: true,
      options: { "com.docker.network.bridge.inhibit_ipv4": "true" },
    });
  });

  it("leaves the addresses that it names to those who ask for them", () => {
    for (const name of ["networks-sandbox", "networks-train"]) {
      const { inputs } = recording.one("docker:index/network:Network", name);
      const [ipam] = inputs["ipamConfigs"] as { subnet: string; ipRange: string }[];
      expect(ipam?.ipRange).toBe(upperHalf(ipam?.subnet ?? ""));
    }
  });

  it("bounds the egress proof as every sandbox is bounded", () => {
    expect(container("egress-proof")).toMatchObject({
      dns: ["192.0.2.1"],
      dnsOpts: ["attempts:1", "timeout:1"],
      capabilities: { drops: ["CAP_MKNOD", "CAP_NET_RAW"] },
      securityOpts: ["no-new-privileges:true"],
      attach: true,
      mustRun: false,
    });
  });

  it("ends when the policy is served the agents' way", () => {
    const { inputs } = recording.one("docker:index/container:Container", "policy-check");
    expect(inputs).toMatchObject({ attach: true, mustRun: false, restart: "no" });
    expect(inputs["envs"]).toEqual(
      expect.arrayContaining(["MODEL=vllm_model", "PROXY_URL=http://run-litellm:8002"]),
    );
    expect(inputs["volumes"]).toEqual([
      expect.objectContaining({ volumeName: "run-trials", readOnly: true }),
    ]);
  });

  it("makes neither recorder nor proxy of a run that has ended before it served", () => {
    const { made, errors } = refused("check_policy");
    expect(made).toEqual(expect.arrayContaining(["trainer", "rollout-check"]) as string[]);
    expect(made.filter((name) => /^(recorder|litellm|policy-check)/.test(name))).toEqual([]);
    expect(errors).toEqual([
      "the policy is not served.\ncheck_policy: the run is given up: no image. Its last lines:\nthe last line\nThe whole check: docker --host unix:///var/run/docker.sock logs run-rollout-check. The next pulumi up repeats it.",
    ]);
  });

  it("makes nothing of the training unless the proof proved", () => {
    const { made, errors } = refused("egress_probe");
    expect(made).toContain("egress-proof");
    expect(made.filter((name) => /^(ray|trainer|recorder|litellm)/.test(name))).toEqual([]);
    expect(errors).toEqual([
      "the egress proof of the sandboxes failed; nothing of the training was made or changed.\nleaks: Ray (172.30.240.2 6379: steady)\nThe whole verdict: docker --host unix:///var/run/docker.sock logs run-egress-proof. The next pulumi up repeats the proof.",
    ]);
  });

  it("shows no secret in a command line, an environment or a label", () => {
    for (const { envs, entrypoints, labels } of containers()) {
      const shown = JSON.stringify([envs, entrypoints, labels]);
      expect(shown).not.toMatch(/-value|RAY_AUTH_TOKEN|MASTER_KEY|SANDBOX_API_KEY|API_KEY=sk/);
    }
    expect(isSecret(container("litellm").uploads)).toBe(true);
    expect(isSecret(container("ray").uploads)).toBe(true);
  });

  it("keeps the volumes that hold results, and no other", () => {
    const kept = recording.registrations
      .filter(({ retainOnDelete }) => retainOnDelete)
      .map(({ inputs }) => inputs["name"]);
    expect(kept.sort()).toEqual(["run-checkpoints", "run-logs", "run-trials"]);
  });

  it("publishes ports on the host's loopback alone", () => {
    const addresses = containers().flatMap(({ ports = [] }) => ports.map(({ ip }) => ip));
    expect(addresses).toEqual(["127.0.0.1", "127.0.0.1"]);
  });

  it("gives the daemon's socket to the worker and the reaper alone", () => {
    const holders = containers()
      .filter(({ volumes = [] }) =>
        volumes.some((one) => one.containerPath.endsWith("docker.sock")),
      )
      .map(({ name }) => name);
    expect(holders.sort()).toEqual(["run-ray-worker", "run-reaper"]);
  });

  it("ends no sandbox before a validation trial could have ended", () => {
    const uploads = JSON.stringify(container("ray-worker").uploads);
    expect(uploads).toContain(String.raw`\"deadlineSeconds\":9000`);
  });

  it("bounds every container that runs, and waits for the health of all that last", () => {
    for (const inputs of containers().filter(({ name }) => name !== "run-agent-runtime")) {
      expect(inputs["memory"], inputs.name).toBeGreaterThan(0);
      expect(inputs["memorySwap"], inputs.name).toBe(inputs["memory"]);
      expect(inputs["logOpts"], inputs.name).toEqual({ "max-size": "100m", "max-file": "5" });
    }
    const awaited = containers().filter(({ wait, healthcheck }) => wait && healthcheck);
    expect(awaited.map(({ name }) => name).sort()).toEqual([
      "run-litellm",
      "run-proof-door",
      "run-proof-peer",
      "run-proof-ray",
      "run-ray-head",
      "run-ray-worker",
      "run-recorder",
    ]);
  });

  it("hands the registries' credentials to the plugin, one by one and as secrets", async () => {
    const file = JSON.stringify({
      auths: { "registry.example.com": { auth: "dTpw" }, "ghcr.io": {} },
    });
    const { registrations } = await record(async () => {
      const { connect } = await import("../../../stacks/docker.ts");
      if (!of.dockerHost) throw new Error("no Docker host");
      connect(of.dockerHost, { registryCredentials: pulumi.secret(file) });
    });
    const given = registrations.find(({ type }) => type === "pulumi:providers:docker")?.inputs;
    expect(isSecret(given?.["registryAuth"])).toBe(true);
    expect(JSON.stringify(given)).toContain("registry.example.com");
    expect(JSON.stringify(given)).toContain("ghcr.io");
  });

  it("labels everything with its stack", () => {
    const objects = recording.registrations.filter(({ type }) => type.startsWith("docker:index"));
    for (const { name, inputs } of objects) {
      expect(inputs["labels"], name).toContainEqual({ label: "swe-rl.dev/stack", value: "run" });
    }
    expect(objects.length).toBe(20);
  });

  it("asks the plugin for nothing that its SDK does not know", async () => {
    const known = await inputsOfSdk();
    for (const { type, name, inputs } of recording.registrations) {
      const properties = known.get(type);
      if (!properties) continue;
      expect(
        Object.keys(inputs).filter((key) => !properties.has(key) && !key.startsWith("__")),
        name,
      ).toEqual([]);
    }
  });

  it("names every component after its folder", () => {
    const own = recording.registrations.filter(({ type }) => type.startsWith("swe-rl:"));
    expect(own.every(({ type }) => type.startsWith("swe-rl:docker:"))).toBe(true);
  });
});

/** Pulumi's mark of a secret among inputs. */
function isSecret(value: unknown): boolean {
  return JSON.stringify(value).includes("4dabf18193072939515e22adb298388d");
}

/** Names of the inputs of each resource: those that the SDK hands on, by what it reads from its arguments. */
async function inputsOfSdk(): Promise<Map<string, Set<string>>> {
  const { readFileSync } = await import("node:fs");
  const { createRequire } = await import("node:module");
  const folder = createRequire(import.meta.url).resolve("@pulumi/docker/package.json");
  return new Map(
    (["container", "network", "volume"] as const).map((file) => {
      const text = readFileSync(folder.replace("package.json", `${file}.js`), "utf8");
      const names = [...text.matchAll(/resourceInputs\["(\w+)"\]/g)].map(([, name = ""]) => name);
      const kind = file.charAt(0).toUpperCase() + file.slice(1);
      return [`docker:index/${file}:${kind}`, new Set(names)];
    }),
  );
}
