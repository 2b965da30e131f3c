import { ApiException } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import type { Client } from "../../../preflight/facts/client.ts";
import type { NodeFact } from "../../../preflight/facts/facts.ts";
import { readGpuPods } from "../../../preflight/facts/gpu-pods.ts";
import { planWith } from "../../support/settings.ts";

const { plan } = planWith();
const node = (name: string, gpus: string, pool = "gpu"): NodeFact => ({
  name,
  labels: { "swe-rl.dev/pool": pool },
  ready: true,
  schedulable: true,
  taints: [],
  allocatable: gpus === "" ? {} : { "nvidia.com/gpu": gpus },
  simulated: true,
});
const container = (gpus?: number) => ({
  name: "c",
  ...(gpus === undefined ? {} : { resources: { limits: { "nvidia.com/gpu": String(gpus) } } }),
});

/** A stand-in for the API server: it answers by the node in the field selector. */
function client(pods: Record<string, object[]>): { client: Client; asked: string[] } {
  const asked: string[] = [];
  const core = {
    listPodForAllNamespaces: ({ fieldSelector }: { fieldSelector: string }) => {
      asked.push(fieldSelector);
      const name = /^spec.nodeName=([^,]*),/.exec(fieldSelector)?.[1] ?? "?";
      return Promise.resolve({ items: pods[name] ?? [] });
    },
  };
  return { client: { core } as unknown as Client, asked };
}

describe("the pods with GPUs", () => {
  it("are asked for by node, and only of nodes that the stack could use", async () => {
    const { client: stub, asked } = client({});
    const nodes = [
      node("gpu-0", "8"),
      node("cpu-0", ""),
      node("gpu-1", "0"),
      node("other", "8", "other"),
    ];
    await readGpuPods(stub, { known: true, value: nodes }, plan);
    const alive = "status.phase!=Succeeded,status.phase!=Failed";
    expect(asked).toEqual([`spec.nodeName=,${alive}`, `spec.nodeName=gpu-0,${alive}`]);
  });

  it("count containers together, and init containers by the largest", async () => {
    const { client: stub } = client({
      "": [{ metadata: { namespace: "a" }, spec: { containers: [container(2)] } }],
      "gpu-0": [
        {
          metadata: { namespace: "b-train", labels: { "swe-rl.dev/stack": "b" } },
          spec: {
            nodeName: "gpu-0",
            containers: [container(1), container(2), container()],
            initContainers: [container(4)],
            nodeSelector: { pool: "gpu" },
          },
        },
        { metadata: { namespace: "c" }, spec: { nodeName: "gpu-0", containers: [container()] } },
      ],
    });
    const found = await readGpuPods(stub, { known: true, value: [node("gpu-0", "8")] }, plan);
    expect(found).toMatchObject({
      known: true,
      value: [
        { node: undefined, gpus: 2, stack: undefined, namespace: "a" },
        { node: "gpu-0", gpus: 4, stack: "b", nodeSelector: { pool: "gpu" } },
      ],
    });
  });

  it("are unknown where they may not be read, or the nodes may not", async () => {
    const forbidden = {
      core: {
        listPodForAllNamespaces: () => Promise.reject(new ApiException(403, "no", {}, {})),
      },
    } as unknown as Client;
    const reason = "this user may not read it (403)";
    expect(await readGpuPods(forbidden, { known: true, value: [] }, plan)).toEqual({
      known: false,
      reason,
    });
    const unread = { known: false, reason } as const;
    expect(await readGpuPods(client({}).client, unread, plan)).toEqual(unread);
  });
});
