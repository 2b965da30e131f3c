import { describe, expect, it } from "vitest";
import { amountOf } from "../../../preflight/quantity.ts";
import { objectsOf } from "../../../preflight/objects.ts";
import { workloadsOf } from "../../../preflight/workloads.ts";
import type { KubernetesObject, Recording } from "../../support/recorder.ts";
import { recordTier } from "../../support/tier.ts";

/** Plural of a kind in the API. */
function pluralOf(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower.endsWith("ss")) return `${lower}es`;
  return lower.endsWith("y") ? `${lower.slice(0, -1)}ies` : `${lower}s`;
}

const serving = "serving: [{ name: judge, model_path: /models/x, gpus: 2, replicas: 2 }]";
const proving = { known: { unproven: undefined, network: "" } };
const variants: [string, Parameters<typeof recordTier>][] = [
  ["single-node", [serving, proving]],
  ["two-node", ["", { base: "two-node", ...proving }]],
  ["three-node with LiteLLM", ["proxy: { mode: litellm }", { base: "three-node", ...proving }]],
];

interface Item extends KubernetesObject {
  readonly spec?: object;
}

function objectsIn({ registrations }: Recording): Item[] {
  return registrations
    .filter(({ type }) => type.startsWith("kubernetes:"))
    .map(({ inputs }) => inputs as unknown as Item);
}

const keyOf = (group: string, resource: string, namespace: string | undefined) =>
  [group, resource, namespace ?? ""].join(" ");

describe.each(variants)(
  "the list of a stack's objects, against %s as it is registered",
  (_name, args) => {
    it("has every kind in every place, and every fixed name", async () => {
      const { recording, plan } = await recordTier(...args);
      const list = objectsOf(plan);
      for (const { apiVersion, kind, metadata } of objectsIn(recording)) {
        const [, group = ""] = apiVersion.split("/").reverse();
        const key = keyOf(group, pluralOf(kind), metadata.namespace);
        const found = list.find((one) => keyOf(one.group, one.resource, one.namespace) === key);
        expect(found && key, `add ${key} to preflight/objects.ts`).toBe(key);
        // Those of the policies are those of the flows; the account is Kubernetes' own.
        if (kind === "NetworkPolicy" || metadata.name === "default") continue;
        if (metadata.name !== undefined) expect(found?.names).toContain(metadata.name);
      }
    });

    it("has nothing that is not made", async () => {
      const { recording, plan } = await recordTier(...args);
      const made = objectsIn(recording);
      for (const { group, resource, namespace, names } of objectsOf(plan)) {
        // Only where registry credentials are given.
        if (resource === "secrets" && namespace === plan.names.namespaces.sandbox) continue;
        const here = made.filter(
          ({ apiVersion, kind, metadata }) =>
            keyOf(apiVersion.split("/").reverse()[1] ?? "", pluralOf(kind), metadata.namespace) ===
            keyOf(group, resource, namespace),
        );
        expect(here.length, `${resource} in ${namespace ?? "the cluster"}`).toBeGreaterThan(0);
        const known = here.map(({ metadata }) => metadata.name);
        for (const name of names) expect(known).toContain(name);
      }
    });

    it("asks for what its pods ask for", async () => {
      const { recording, plan } = await recordTier(...args);
      const [cpus, memory] = requestsOf(objectsIn(recording));
      const workloads = workloadsOf(plan);
      const total = (of: (one: (typeof workloads)[number]) => number) =>
        workloads.reduce((sum, one) => sum + one.replicas * of(one), 0);
      expect(total(({ cpus: own }) => own)).toBeCloseTo(cpus, 6);
      expect(total(({ memoryBytes }) => memoryBytes)).toBe(memory);
    });
  },
);

interface Template {
  readonly spec: {
    readonly containers: readonly { resources: { requests: Record<string, string> } }[];
  };
}

/** CPUs and bytes that the pods of Deployments, Jobs and RayClusters request. */
function requestsOf(objects: readonly Item[]): [cpus: number, bytes: number] {
  let [cpus, bytes] = [0, 0];
  const add = (template: Template, replicas: number) => {
    for (const { resources } of template.spec.containers) {
      cpus += replicas * amountOf(resources.requests["cpu"]);
      bytes += replicas * amountOf(resources.requests["memory"]);
    }
  };
  for (const { kind, metadata, spec } of objects) {
    // The proof ends before the rest begins.
    if (metadata.name === "egress-proof") continue;
    if (kind === "Deployment" || kind === "Job") {
      const { template, replicas = 1 } = spec as { template: Template; replicas?: number };
      add(template, replicas);
    }
    if (kind === "RayCluster") {
      const ray = spec as {
        headGroupSpec: { template: Template };
        workerGroupSpecs: { template: Template; replicas: number }[];
      };
      add(ray.headGroupSpec.template, 1);
      for (const { template, replicas } of ray.workerGroupSpecs) add(template, replicas);
    }
  }
  return [cpus, bytes];
}
