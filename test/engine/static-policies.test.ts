import { beforeAll, describe, expect, it } from "vitest";
import { Connectivity } from "../support/connectivity.ts";
import {
  allowedConnections,
  type Connection,
  obtainAnalyzer,
  opens,
  pod,
  podsOf,
} from "../support/policy-analyzer.ts";
import type { KubernetesObject } from "../support/recorder.ts";
import { recordTier } from "../support/tier.ts";

const trial = { app: "harbor-sandbox", "harbor-run": "swe-lego-live-rl" };
/** What is not of the stack, or only made while it runs. */
const others = [
  pod("run-sandbox", "trial-1", trial),
  pod("run-sandbox", "trial-2", trial),
  pod("other-sandbox", "trial-3", trial),
  pod("other-train", "ray-train", { "swe-rl.dev/role": "ray-worker" }),
  pod("kube-system", "dns", { "k8s-app": "kube-dns" }),
  pod("monitoring", "prometheus", { app: "prometheus" }),
  pod("elsewhere", "stranger", { app: "stranger" }),
];

/** The allowed target is admitted by the very policy that admits the proxy: that is what it is for. */
const liteLlm = ["litellm", "proof-door"].map((name) => `run-proxy/${name} TCP 8002`);
const inProcess = (...groups: string[]) =>
  ["proof-door", ...groups.map((group) => `ray-${group}`)].map(
    (name) => `run-train/${name} TCP 40000-49999`,
  );

const variants: { name: string; base: string; yaml?: string; open: string[] }[] = [
  { name: "single-node", base: "single-node", open: liteLlm },
  { name: "two-node", base: "two-node", open: inProcess("rollout", "train") },
  { name: "three-node", base: "three-node", open: inProcess("rollout", "train") },
  {
    name: "single-node in process",
    base: "single-node",
    yaml: "proxy: { mode: in_process }",
    open: inProcess("train"),
  },
  {
    name: "two-node with LiteLLM",
    base: "two-node",
    yaml: "proxy: { mode: litellm }",
    open: liteLlm,
  },
  {
    name: "single-node with a frozen model",
    base: "single-node",
    yaml: "serving: [{ name: judge, model_path: /models/Qwen3-30B-A3B-Instruct-2507, gpus: 4 }]",
    open: liteLlm,
  },
];

/** Policies and pods as the stack has them, judged by an evaluator that is not ours. It knows IPv4 alone; our own knows both. */
describe.each(variants)("the policies of $name", ({ base, yaml, open }) => {
  let analyzer: string;
  let policies: KubernetesObject[];
  let pods: KubernetesObject[];
  let connections: Connection[];
  beforeAll(async () => {
    analyzer = await obtainAnalyzer();
    const { recording } = await recordTier(yaml, { base });
    policies = recording.objects("NetworkPolicy");
    pods = [...podsOf(recording), ...others];
    connections = await allowedConnections(analyzer, [
      ...recording.objects("Namespace"),
      ...policies,
      ...pods,
    ]);
  });

  it("let sandboxes reach the policy's address, and nothing else", () => {
    for (const name of ["trial-1", "trial-2"]) {
      const found = connections.filter(({ from }) => from === `run-sandbox/${name}`);
      expect(found.map(({ to, open }) => `${to} ${open}`).sort()).toEqual(open);
    }
  });

  it("let nothing reach sandboxes", () => {
    expect(connections.filter(({ to }) => to.startsWith("run-sandbox/"))).toEqual([]);
  });

  it("let nobody outside the stack reach training or the proxy", () => {
    const ours = (peer: string) => /^run-(train|proxy)\//.test(peer);
    const entering = connections.filter(({ from, to }) => ours(to) && !ours(from));
    expect(entering.map(({ from, to, open }) => `${from} ${to} ${open}`).sort()).toEqual(
      ["trial-1", "trial-2"].flatMap((name) => open.map((one) => `run-sandbox/${name} ${one}`)),
    );
  });

  it("mean to this evaluator what they mean to ours, for every two pods", () => {
    const network = new Connectivity(policies);
    const ports = [22, 53, 443, 6379, 8000, 8002, 8003, 8265, 10001, 39999, 40000, 49999, 50000];
    const name = ({ metadata }: KubernetesObject) =>
      `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
    const endpoint = ({ metadata }: KubernetesObject) => ({
      namespace: metadata.namespace ?? "",
      labels: metadata.labels,
    });
    for (const source of pods) {
      for (const target of pods.filter((other) => other !== source)) {
        const found = connections.find(
          ({ from, to }) => from === name(source) && to === name(target),
        );
        for (const protocol of ["TCP", "UDP"] as const) {
          const theirs = ports.filter((port) => found && opens(found, protocol, port));
          const own = ports.filter((port) =>
            network.allows(endpoint(source), endpoint(target), { protocol, port }),
          );
          expect([name(source), name(target), protocol, own]).toEqual([
            name(source),
            name(target),
            protocol,
            theirs,
          ]);
        }
      }
    }
  });

  it("would be found out if somebody added a hole", async () => {
    const hole = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "hole", namespace: "run-sandbox", labels: {} },
      spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{ ports: [{ port: 53 }] }] },
    };
    const found = await allowedConnections(analyzer, [...policies, ...pods, hole]);
    const reached = found.filter(({ from }) => from === "run-sandbox/trial-1");
    expect(reached.map(({ to }) => to)).toEqual(
      expect.arrayContaining([
        "kube-system/dns",
        "elsewhere/stranger",
        expect.stringMatching(/-255\.255\.255\.255$/),
      ]) as string[],
    );
  });
});
