import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { karpenterSite } from "../../support/karpenter.ts";
import { judge, ConfigFolder, planWith, problemsOf, settingsWith } from "../../support/settings.ts";

const planOn = (site: ReturnType<typeof karpenterSite>, yaml = "") =>
  judge({ ...settingsWith(yaml).settings, site });

describe("nodes that are there", () => {
  it("must be selected by a label", () => {
    using folder = new ConfigFolder();
    const lab = readFileSync(`${folder.root}/config/sites/lab.yaml`, "utf8");
    folder.write("sites/bare.yaml", lab.replace("{ swe-rl.dev/pool: gpu }", "{}"));
    expect(() => folder.load({ stack: "single-node", site: "bare" })).toThrow(
      /config\/sites\/bare.yaml:7:13 gpu_nodes.selector: must name at least one label/,
    );
  });

  it("need no pool", () => {
    const { plan: decided } = planWith();
    expect(decided.nodePools).toEqual([]);
    expect(decided.gpuPlacement.nodeSelector).toEqual({ "swe-rl.dev/pool": "gpu" });
    expect(decided.sandboxes.nodeSelector).toEqual({ "swe-rl.dev/pool": "sandbox" });
  });
});

describe("nodes that Karpenter makes", () => {
  it("carry a label and a taint of the stack's own, which exactly its pods know", () => {
    const { plan: decided, problems } = planOn(karpenterSite());
    expect(problems).toEqual([]);
    const key = "swe-rl.dev/node-pool";
    for (const [pool, placement] of [
      ["run-gpu", decided.gpuPlacement],
      ["run-gpu", decided.ray.groups[0]!],
      ["run-sandbox", decided.sandboxes],
    ] as const) {
      expect(placement.nodeSelector).toEqual({ [key]: pool });
      expect(placement.tolerations).toContainEqual({
        key,
        operator: "Equal",
        value: pool,
        effect: "NoSchedule",
      });
      expect(decided.nodePools.find(({ name }) => name === pool)).toMatchObject({
        label: { [key]: pool },
        taint: { key, value: pool, effect: "NoSchedule" },
      });
    }
    expect(decided.ray.head.nodeSelector).toEqual({ pool: "cpu" });
  });

  it.each([
    ["", 8],
    ["serving: [{ name: judge, model_path: /models/x, gpus: 1 }]", 16],
    ["serving: [{ name: judge, model_path: /models/x, gpus: 4, replicas: 3 }]", 24],
  ])("may be exactly as many as the stack needs: %j", (yaml, gpus) => {
    const pool = planOn(karpenterSite(), yaml).plan.nodePools[0];
    expect(pool).toMatchObject({ purpose: "gpu", limits: { "nvidia.com/gpu": gpus } });
  });

  it("hold the sandboxes' quota, with room for the system's pods", () => {
    const { nodePools, sandboxes } = planOn(karpenterSite()).plan;
    expect(sandboxes.quota.cpus).toBe(120);
    expect(nodePools[1]).toMatchObject({
      purpose: "sandbox",
      limits: { cpu: 180, memory: `${120 * 8 * 1.5}Gi` },
    });
  });

  it("are never spot for training by default, and may be for sandboxes", () => {
    const capacity = planOn(karpenterSite()).plan.nodePools.map(
      ({ requirements }) =>
        requirements.find(({ key }) => key === "karpenter.sh/capacity-type")?.values,
    );
    expect(capacity).toEqual([
      ["reserved", "on-demand"],
      ["spot", "on-demand"],
    ]);
    const warnings = (gpu: string) =>
      planOn(karpenterSite({ gpu })).warnings.map(({ path }) => path.join("."));
    expect(warnings(", capacity_types: [spot]")).toContain("site.gpu_nodes.pool.capacity_types");
    expect(warnings("")).not.toContain("site.gpu_nodes.pool.capacity_types");
  });

  it("need a limit that is enough", () => {
    expect(problemsOf(planOn(karpenterSite({ gpu: ", limits: { nvidia.com/gpu: 4 }" })))).toEqual([
      expect.stringContaining("is 4, but the stack needs 1 nodes with 8 GPUs") as string,
    ]);
  });

  it.each([
    [{ gpuNodes: ", selector: { a: b }" }, "gpu_nodes.selector: must be left out"],
    [{ gpuNodes: ", claim: [node-1]" }, "gpu_nodes.claim: names nodes, but pool.kind is karpenter"],
    [{ sandbox: ", capacity_types: []" }, "sandbox_nodes.pool.capacity_types: must be at least 1"],
  ])("are described once: %j", (change, message) => {
    expect(() => karpenterSite(change)).toThrow(message);
  });
});

describe("disruption", () => {
  it("never lets a drain take a pod of the run", () => {
    const { disruption } = planOn(karpenterSite()).plan;
    expect(disruption).toMatchObject({
      mode: "never",
      holdsRay: true,
      frozenModelMaxUnavailable: 0,
      podAnnotations: {
        "karpenter.sh/do-not-disrupt": "true",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
      },
    });
  });

  it("voluntary lets drains take pods, one node at a time", () => {
    const { disruption } = planOn(karpenterSite(), "disruption: voluntary").plan;
    expect(disruption).toEqual({
      mode: "voluntary",
      holdsRay: false,
      frozenModelMaxUnavailable: 1,
      recorderMaxUnavailable: 1,
      podAnnotations: { "cluster-autoscaler.kubernetes.io/safe-to-evict": "true" },
      pool: {
        expireAfter: "Never",
        consolidationPolicy: "WhenEmpty",
        consolidateAfter: "10m",
        budgets: [{ nodes: "1" }],
      },
    });
  });

  it.each(["never", "voluntary"])(
    "%s: no node expires, and none in use is consolidated",
    (mode) => {
      for (const pool of planOn(karpenterSite(), `disruption: ${mode}`).plan.nodePools) {
        expect(pool.disruption).toMatchObject({
          expireAfter: "Never",
          consolidationPolicy: "WhenEmpty",
        });
      }
    },
  );
});
