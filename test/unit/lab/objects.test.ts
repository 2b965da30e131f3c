import { describe, expect, it } from "vitest";
import { configuration } from "../../../lab/control-plane/kwok.ts";
import { defaultGpuNodes, nodeObjects, pools } from "../../../lab/control-plane/nodes.ts";
import { freePorts } from "../../../lab/control-plane/ports.ts";
import { volumeObjects } from "../../../lab/control-plane/volumes.ts";
import { labPaths } from "../../../lab/paths.ts";

describe("what a lab simulates", () => {
  it("has nodes for all three tiers", () => {
    const nodes = nodeObjects(defaultGpuNodes);
    expect(nodes.map(({ metadata }) => metadata.name)).toEqual([
      "gpu-0",
      "gpu-1",
      "gpu-2",
      "sandbox-0",
      "sandbox-1",
      "cpu-0",
    ]);
    const gpus = nodes.map(({ status }) => Number(status?.allocatable?.["nvidia.com/gpu"] ?? 0));
    expect(gpus).toEqual([8, 8, 8, 0, 0, 0]);
    expect(nodes.map(({ metadata }) => metadata.labels?.["swe-rl.dev/pool"])).toEqual([
      "gpu",
      "gpu",
      "gpu",
      "sandbox",
      "sandbox",
      "cpu",
    ]);
  });

  it("taints the sandbox nodes", () => {
    const tainted = pools(1).filter(({ taints }) => taints);
    expect(tainted.map(({ name, taints }) => [name, taints])).toEqual([
      ["sandbox", [{ key: "swe-rl.dev/sandbox", effect: "NoSchedule" }]],
    ]);
  });

  it("gives every node the annotation of KWOK and a hash of its content", () => {
    const marks = new Map(
      nodeObjects(2).map(({ metadata }) => [metadata.name, metadata.annotations]),
    );
    for (const annotations of marks.values()) {
      expect(annotations?.["kwok.x-k8s.io/node"]).toBe("fake");
    }
    const hashes = [...marks.values()].map((annotations) => annotations?.["swe-rl.dev/lab"]);
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it("has a volume of every size for more than ten stacks", () => {
    const volumes = volumeObjects();
    expect(volumes).toHaveLength(60);
    expect(new Set(volumes.map(({ metadata }) => metadata.name)).size).toBe(60);
  });
});

describe("control plane", () => {
  it("listens only on the loopback address, on the given ports", () => {
    const ports = {
      apiServer: 1,
      etcd: 2,
      etcdPeer: 3,
      controllerManager: 4,
      scheduler: 5,
      kwok: 6,
    };
    const text = JSON.stringify(configuration(labPaths("/tmp", "test"), ports, "simulated"));
    expect(text).toContain('"bindAddress":"127.0.0.1"');
    expect(text).not.toContain("0.0.0.0");
    expect([...text.matchAll(/Port":(\d)/g)].map(([, port]) => port)).toEqual([
      "2",
      "3",
      "1",
      "4",
      "5",
      "6",
    ]);
  });

  it("gets different free ports", async () => {
    const ports = await freePorts(20);
    expect(new Set(ports).size).toBe(20);
    expect(ports.every((port) => port >= 20_000 && port < 32_000)).toBe(true);
  });
});
