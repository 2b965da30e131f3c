import { createHash } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import type { Plan } from "../../../plan/plan.ts";
import { Connectivity } from "../../support/connectivity.ts";
import type { KubernetesObject, Recording } from "../../support/recorder.ts";
import { recordTier } from "../../support/tier.ts";

const proving = { known: { unproven: undefined, network: "Calico v3" } };

interface Container {
  name: string;
  image: string;
  command: string[];
  env: { name: string; value?: string }[];
  resources: { requests: Record<string, string>; limits: Record<string, string> };
}
interface PodSpec {
  initContainers?: Container[];
  containers: Container[];
  nodeSelector: Record<string, string>;
}
interface Template {
  metadata: { labels: Record<string, string>; annotations: Record<string, string> };
  spec: PodSpec;
}

function named(recording: Recording, kind: string, name: string): KubernetesObject {
  const found = recording.objects(kind).find(({ metadata }) => metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
}

function templateOf(object: KubernetesObject): Template {
  return (object["spec"] as { template: Template }).template;
}

describe.each(["single-node", "two-node", "three-node"])("the egress proof of %s", (base) => {
  let recording: Recording;
  let plan: Plan;
  let job: KubernetesObject;
  beforeAll(async () => {
    ({ recording, plan } = await recordTier("", { base, ...proving }));
    job = named(recording, "Job", "egress-proof");
  });

  it("runs where sandboxes run, in two pods that both must succeed", () => {
    expect(job.metadata.namespace).toBe("run-sandbox");
    expect(job["spec"]).toMatchObject({ completions: 2, parallelism: 2, backoffLimit: 0 });
    expect(templateOf(job).spec.nodeSelector).toEqual(plan.sandboxes.nodeSelector);
  });

  it("comes after every policy and before the Ray cluster", () => {
    const own = recording
      .one("swe-rl:sandbox:EgressProof", "egress-proof")
      .dependencies.map((urn) => urn.split("::").at(-1));
    expect(own).toEqual(
      expect.arrayContaining(["sandbox-default-deny", "sandbox-bounds-quota", "proof-door"]),
    );
    const ray = recording
      .one("swe-rl:ray:RayCluster", "ray")
      .dependencies.map((urn) => urn.split("::").at(-1));
    expect(ray).toEqual(expect.arrayContaining(["egress-proof", "proof-door"]));
  });

  it("passes the gate of the sandboxes itself, as limited as the namespace demands", () => {
    const { initContainers, containers } = templateOf(job).spec;
    expect(initContainers ?? []).toEqual([]);
    const [prover] = containers;
    expect(prover?.env.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["CANARY", "CONTROL", "PROXY", "TIMEOUT_SECONDS", "QUIET_SECONDS"]),
    );
    expect(Object.keys(prover?.resources.requests ?? {})).toEqual(
      expect.arrayContaining(["cpu", "memory"]),
    );
    expect(Object.keys(prover?.resources.limits ?? {})).toEqual(
      expect.arrayContaining(["memory", "ephemeral-storage"]),
    );
  });

  it("may reach one port of the allowed target, which admits it at the canary as well", () => {
    const network = new Connectivity(recording.objects("NetworkPolicy"));
    const allowedTarget = named(recording, "Deployment", "proof-door");
    const ray = named(recording, "Deployment", "proof-ray");
    const from = { namespace: "run-sandbox", labels: templateOf(job).metadata.labels };
    const to = (object: KubernetesObject) => ({
      namespace: object.metadata.namespace ?? "",
      labels: templateOf(object).metadata.labels,
    });
    const { allowedPort, canaryPort, decoy } = plan.isolation;
    const open = (object: KubernetesObject, port: number, protocol: "TCP" | "UDP" = "TCP") =>
      network.allows(from, to(object), { protocol, port });
    expect(open(allowedTarget, allowedPort)).toBe(true);
    expect(open(allowedTarget, allowedPort, "UDP")).toBe(false);
    expect(open(allowedTarget, canaryPort)).toBe(false);
    for (const port of decoy.tcp) expect(open(ray, port)).toBe(false);
    // Without the sandboxes' own policies the canary would be reached: nothing else denies it.
    const unfiltered = new Connectivity(
      recording
        .objects("NetworkPolicy")
        .filter(({ metadata }) => metadata.namespace !== "run-sandbox"),
    );
    for (const protocol of ["TCP", "UDP"] as const) {
      expect(unfiltered.allows(from, to(allowedTarget), { protocol, port: canaryPort })).toBe(true);
    }
  });

  it("names every target once, and its listeners listen on what it probes", () => {
    const { targets, allowedTarget, decoy } = plan.isolation;
    const names = targets.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(15);
    for (const { addresses, kind, ports = [] } of targets) {
      const listener = { $ALLOWED_TARGET: allowedTarget, $RAY: decoy }[addresses[0] ?? ""];
      if (!listener || (kind !== "tcp" && kind !== "udp")) continue;
      expect(listener[kind]).toEqual(expect.arrayContaining([...ports]));
    }
  });

  it("is not chosen by the proxy's Service", () => {
    const labels = templateOf(named(recording, "Deployment", "proof-door")).metadata.labels;
    for (const service of recording.objects("Service")) {
      const { selector = {} } = service["spec"] as { selector?: Record<string, string> };
      const chosen = Object.entries(selector).every(([key, value]) => labels[key] === value);
      expect(chosen).toBe(service.metadata.name === "proof-door");
    }
  });
});

describe("the proof", () => {
  const proves = async (yaml: string, network = "Calico v3") => {
    const options = { known: { unproven: undefined, network } };
    const { recording } = await recordTier(yaml, options);
    const { metadata } = templateOf(named(recording, "Job", "egress-proof"));
    return createHash("sha256").update(JSON.stringify(metadata.annotations)).digest("hex");
  };

  it("is another one when a policy, the proxy or the network changes, and else the same", async () => {
    const base = await proves("");
    expect(await proves("training: { total_epochs: 3 }")).toBe(base);
    expect(await proves("infrastructure: { litellm_port: 8010 }")).not.toBe(base);
    expect(await proves("", "Cilium v1")).not.toBe(base);
  }, 60_000);

  it("does not run where it would show nothing", async () => {
    const { recording } = await recordTier("", {
      known: { unproven: "unproven: simulated nodes" },
    });
    const jobs = recording.objects("Job").map(({ metadata }) => metadata.name);
    expect(jobs).not.toContain("egress-proof");
  });
});
