import { beforeAll, describe, expect, it } from "vitest";
import { Connectivity, type Endpoint } from "../../support/connectivity.ts";
import { recordTier } from "../../support/tier.ts";

const pod = (namespace: string, role?: string): Endpoint => ({
  namespace,
  labels: role === undefined ? { app: "harbor-sandbox" } : { "swe-rl.dev/role": role },
});
const places: Record<string, Endpoint> = {
  sandbox: pod("run-sandbox"),
  proxy: pod("run-proxy", "proxy"),
  head: pod("run-train", "ray-head"),
  worker: pod("run-train", "ray-worker"),
  trainer: pod("run-train", "trainer"),
  recorder: pod("run-train", "recorder"),
  dns: { namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
  stranger: pod("other-train", "ray-worker"),
  "strange sandbox": pod("other-sandbox"),
  internet: { address: "1.1.1.1" },
  "internet (IPv6)": { address: "2606:4700::1111" },
  metadata: { address: "169.254.169.254" },
  "metadata (IPv6)": { address: "fd00:ec2::254" },
};
const ports = [53, 443, 6379, 8002, 8003, 8080, 8265, 10001, 39999, 40000, 49999, 50000] as const;

/** Everything that may be reached; the test fails for every other pair and port. Pods of one's own training namespace are reached on all ports. */
const inTraining = [...ports];
const expected: Record<string, Record<string, number[]>> = {
  sandbox: { proxy: [8002] },
  proxy: { recorder: [8003], dns: [53] },
  head: training(),
  worker: training(),
  trainer: training(),
  recorder: training(),
  // What others send is theirs; only what our policies let in counts here.
  dns: {},
  stranger: {},
  "strange sandbox": {},
  internet: {},
  "internet (IPv6)": {},
  metadata: {},
  "metadata (IPv6)": {},
};

function training(): Record<string, number[]> {
  return {
    head: inTraining,
    worker: inTraining,
    trainer: inTraining,
    recorder: inTraining,
    proxy: [8002],
    dns: [53],
    internet: [443],
    "internet (IPv6)": [443],
  };
}

const ours = ["sandbox", "proxy", "head", "worker", "trainer", "recorder"];

describe("the network policies of a stack", () => {
  let network: Connectivity;
  beforeAll(async () => {
    const { recording } = await recordTier();
    network = new Connectivity(recording.objects("NetworkPolicy"));
  });

  for (const [from, source] of Object.entries(places)) {
    it(`let ${from} reach what the Plan lists, and nothing else`, () => {
      const found: Record<string, number[]> = {};
      for (const [to, target] of Object.entries(places)) {
        // Pairs without a pod of ours are not ours to judge.
        if (to === from || !(ours.includes(from) || ours.includes(to))) continue;
        const open = ports.filter((port) =>
          network.allows(source, target, { protocol: "TCP", port }),
        );
        if (open.length > 0) found[to] = open;
      }
      const own = expected[from] ?? {};
      const { [from]: _self, ...others } = own;
      expect(found).toEqual(others);
    });
  }

  it("give sandboxes no UDP at all, not even to DNS", () => {
    const { sandbox, ...others } = places as { sandbox: Endpoint };
    for (const target of Object.values<Endpoint>(others)) {
      for (const port of ports)
        expect(network.allows(sandbox, target, { protocol: "UDP", port })).toBe(false);
    }
  });

  it("keep one sandbox from another", () => {
    for (const port of ports) {
      expect(
        network.allows(pod("run-sandbox"), pod("run-sandbox"), { protocol: "TCP", port }),
      ).toBe(false);
    }
  });
});

describe("the network policies of a stack with the proxy in process", () => {
  let network: Connectivity;
  beforeAll(async () => {
    const { recording } = await recordTier("", { base: "three-node" });
    network = new Connectivity(recording.objects("NetworkPolicy"));
  });

  it("let sandboxes reach the workers' own range of ports, and nothing else", () => {
    const open = Object.entries(places).flatMap(([to, target]) =>
      ports
        .filter((port) => network.allows(places["sandbox"]!, target, { protocol: "TCP", port }))
        .map((port) => `${to} ${port}`),
    );
    expect(open).toEqual(["worker 40000", "worker 49999"]);
  });

  it("let nothing but training and their sandboxes reach the workers", () => {
    for (const from of ["strange sandbox", "stranger", "dns", "internet"]) {
      for (const port of ports) {
        const allowed = network.allows(places[from]!, places["worker"]!, { protocol: "TCP", port });
        expect([from, port, allowed]).toEqual([from, port, false]);
      }
    }
  });
});
