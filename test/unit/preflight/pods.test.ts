import { describe, expect, it } from "vitest";
import { ApiError, type Call, type Client } from "../../../preflight/facts/client.ts";
import { readPods } from "../../../preflight/facts/pods.ts";
import { known, nodeFact } from "../../support/facts.ts";
import { planWith } from "../../support/settings.ts";

const { plan } = planWith();
const alive = "status.phase!=Succeeded,status.phase!=Failed";
const ours = [nodeFact("gpu-0", "gpu"), nodeFact("cpu-0", "cpu")];
const others = Array.from({ length: 100 }, (_, i) => nodeFact(`other-${i}`, "cpu", { labels: {} }));
const nodes = (...value: typeof ours) => Promise.resolve(known(value));

const container = (requests: object, limits: object = {}) => ({
  name: "c",
  resources: { requests, limits },
});
const pod = (name: string, spec: object, labels: object = {}) => ({
  metadata: { name, namespace: "a", labels },
  spec: { nodeName: "gpu-0", containers: [], ...spec },
});

/** A stand-in for the API server: it notes what it is asked, and answers the first page. */
function client(items: object[], next?: string) {
  const asked: string[] = [];
  const note = ({ query }: Call = {}) => asked.push(query?.["fieldSelector"] ?? "");
  const stub = {
    get: (_path: string, call?: Call) => {
      note(call);
      return Promise.resolve({ items, metadata: { continue: next } });
    },
    list: (_path: string, call?: Call) => {
      note(call);
      return Promise.resolve([pod("more", { containers: [container({ cpu: "1" })] })]);
    },
  };
  return { client: stub as unknown as Client, asked };
}

describe("the pods on the stack's nodes", () => {
  it("are read in one page where that holds them all", async () => {
    const { client: stub, asked } = client([pod("a", {})]);
    const found = await readPods(stub, nodes(...ours, ...others), plan);
    expect(asked).toEqual([alive]);
    expect(found.known && found.value.length).toBe(1);
  });

  it("are asked for by node where there are many, and only of nodes that the stack could use", async () => {
    const { client: stub, asked } = client([pod("a", {})], "next");
    const found = await readPods(stub, nodes(...ours, ...others), plan);
    const selectors = ["", "gpu-0", "cpu-0"].map((name) => `spec.nodeName=${name},${alive}`);
    expect(asked).toEqual([alive, ...selectors]);
    expect(found.known && found.value.length).toBe(3);
  });

  it("are read page by page where those nodes are many, or not known", async () => {
    const many = Array.from({ length: 65 }, (_, i) => nodeFact(`cpu-${i}`, "cpu"));
    for (const read of [
      nodes(...many),
      Promise.resolve({ known: false, reason: "403" } as const),
    ]) {
      const { client: stub, asked } = client([pod("a", {})], "next");
      const found = await readPods(stub, read, plan);
      expect(asked).toEqual([alive, alive]);
      expect(found.known && found.value.length).toBe(2);
    }
  });

  it("ask for their containers together, or for the largest init container, and for overhead", async () => {
    const { client: stub } = client([
      pod(
        "a",
        {
          containers: [
            container({ cpu: "500m", memory: "1Gi" }, { "nvidia.com/gpu": 1 }),
            container({ cpu: 2, "ephemeral-storage": "1G" }, { "nvidia.com/gpu": 2 }),
          ],
          initContainers: [container({ memory: "4Gi", "nvidia.com/gpu": 4 })],
          overhead: { memory: "64Mi" },
        },
        { "swe-rl.dev/stack": "b" },
      ),
    ]);
    expect(await readPods(stub, nodes(), plan)).toMatchObject(
      known([
        {
          node: "gpu-0",
          stack: "b",
          namespace: "a",
          requests: {
            cpus: 2.5,
            memoryBytes: 4 * 2 ** 30 + 64 * 2 ** 20,
            ephemeralBytes: 1e9,
            gpus: 4,
          },
        },
      ]),
    );
  });

  it("tell which images their nodes tried in vain to pull", async () => {
    const containers = ["a", "b", "c"].map((name) => ({ name, image: `x/${name}:1` }));
    const waiting = (name: string, reason: string, message?: string) => ({
      name,
      state: { waiting: { reason, message } },
    });
    const { client: stub } = client([
      {
        ...pod("p", { containers: containers.slice(1), initContainers: containers.slice(0, 1) }),
        status: {
          initContainerStatuses: [waiting("a", "ImagePullBackOff", "denied")],
          containerStatuses: [waiting("b", "ErrImagePull"), waiting("c", "CrashLoopBackOff")],
        },
      },
    ]);
    const failedPulls = [
      { image: "x/a:1", reason: "ImagePullBackOff, denied" },
      { image: "x/b:1", reason: "ErrImagePull" },
    ];
    expect(await readPods(stub, nodes(), plan)).toMatchObject(known([{ failedPulls }]));
  });

  it("are unknown where they may not be read", async () => {
    const forbidden = { get: () => Promise.reject(new ApiError(403, "no")) } as unknown as Client;
    const reason = "this user may not read it (403)";
    expect(await readPods(forbidden, nodes(), plan)).toEqual({ known: false, reason });
  });
});
