import { describe, expect, it } from "vitest";
import type { NodePool } from "../../../plan/nodes/index.ts";
import type { Plan } from "../../../plan/plan.ts";
import { planStartCheck } from "../../../plan/start-check.ts";
import type { KubernetesObject, Recording } from "../../support/recorder.ts";
import { recordTier } from "../../support/tier.ts";

interface Awaited {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly ends: boolean;
}

interface Check {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations: Record<string, string> };
      readonly spec: {
        readonly automountServiceAccountToken: boolean;
        readonly containers: readonly [
          { readonly image: string; readonly env: readonly { name: string; value: string }[] },
        ];
      };
    };
  };
}

function checksOf(recording: Recording): Check[] {
  const jobs = recording.objects("Job") as unknown as Check[];
  return jobs.filter(({ metadata }) => metadata.name.endsWith("-start"));
}

function awaitedBy({ spec }: Check): Awaited[] {
  const { env } = spec.template.spec.containers[0];
  return JSON.parse(env.find(({ name }) => name === "WORKLOADS")?.value ?? "[]") as Awaited[];
}

function marksOf(recording: Recording): Record<string, string> {
  return Object.fromEntries(
    checksOf(recording).map(({ metadata, spec }) => [
      metadata.name,
      spec.template.metadata.annotations["swe-rl.dev/awaits"] ?? "",
    ]),
  );
}

describe.each([
  ["with LiteLLM", ""],
  ["in process", "proxy: { mode: in_process }"],
  ["beside a frozen model", "serving: [{ name: judge, model_path: /models/judge, gpus: 2 }]"],
])("the checks of what has started, %s", (_, yaml) => {
  it("wait for exactly what Pulumi does not wait for, or not on updates, each thing once", async () => {
    const { recording } = await recordTier(yaml);
    const isLeft = ({ metadata, kind }: KubernetesObject) =>
      kind === "Deployment"
        ? metadata.labels["app.kubernetes.io/name"] !== "proof-listener"
        : Object.keys(metadata.annotations ?? {}).some((key) => /(waitFor|skipAwait)$/.test(key));
    const left = ["Deployment", "Job", "RayCluster"].flatMap((kind) =>
      recording
        .objects(kind)
        .filter(isLeft)
        .map(({ metadata }) => `${kind} ${metadata.namespace ?? ""}/${metadata.name ?? ""}`),
    );
    const awaited = checksOf(recording)
      .flatMap(awaitedBy)
      .map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`);
    expect(awaited.toSorted()).toEqual(left.toSorted());
    expect(awaited).toContain("RayCluster run-train/ray");
  });
});

describe("a check of what has started", () => {
  it("needs no image of what it waits for, and may ask the API server", async () => {
    const { recording, plan } = await recordTier();
    for (const { spec } of checksOf(recording)) {
      expect(spec.template.spec.containers[0].image).toBe(plan.isolation.image);
      expect(spec.template.spec.automountServiceAccountToken).toBe(true);
    }
  });

  it("waits for the end of the inputs' check, before Ray, and for no other end", async () => {
    const { recording } = await recordTier("", { base: "single-node-stock" });
    const ends = checksOf(recording).flatMap(awaitedBy);
    expect(ends.filter((one) => one.ends).map(({ name }) => name)).toEqual(["inputs-check"]);
    const { dependencies } = recording.one("swe-rl:ray:RayCluster", "ray");
    expect(dependencies.map((urn) => urn.split("::").at(-1))).toContain("inputs-start");
  });

  it.each([
    ["ray: { head_cpus: 6 }", ["training-start"]],
    ["proxy: { replicas: 3 }", ["services-start"]],
  ])("is made again where its workloads change: %s", async (yaml, changed) => {
    const [before, after] = [await recordTier(), await recordTier(yaml)].map(({ recording }) =>
      marksOf(recording),
    );
    const names = Object.keys(before ?? {}).filter((name) => before?.[name] !== after?.[name]);
    expect(names).toEqual(changed);
  });

  it("waits longer for a node where the stack has pools of its own", () => {
    const seconds = (nodePools: Plan["nodePools"]) =>
      planStartCheck({ image: "python", nodePools, rolloutMinutes: 60 }).nodeSeconds;
    expect(seconds([])).toBeUndefined();
    expect(seconds([{} as NodePool])).toBe(3600);
  });
});
