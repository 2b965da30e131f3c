import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Settings } from "../../../config/load/load.ts";
import { knownPaths } from "../../../config/load/validate.ts";
import { experiment } from "../../../config/schema/experiment.ts";
import { image as imageSchema } from "../../../config/schema/scalars.ts";
import { kubernetesSite } from "../../../config/schema/site.ts";
import type { Plan } from "../../../plan/plan.ts";
import { imagesOf, resourcesOf } from "../../../plan/resources/index.ts";
import { rightsOf } from "../../../preflight/facts/rights.ts";
import { objectsMade, objectsPlanned, podsMade, podsPlanned } from "../../support/made.ts";
import { clusterOf, settingsWith } from "../../support/settings.ts";
import { recordSettings } from "../../support/tier.ts";
import { branchesOf, type JsonSchema, schemaOf } from "../../support/variants/minimal.ts";
import {
  complete,
  isAlike,
  judge,
  type Judged,
  pack,
  putSettings,
  tryIt,
} from "../../support/variants/settings.ts";

const secrets: Readonly<Record<string, string>> = { wandbApiKey: "w" };

/** A shipped experiment, with the stack's secrets known. */
function shipped(yaml: string, base = "single-node", known = secrets): Settings {
  return { ...settingsWith(yaml, { base }).settings, secrets: new Set(Object.keys(known)) };
}

async function expectSame(settings: Settings, what: string, given = secrets): Promise<void> {
  const { recording, plan } = await recordSettings(settings, { secrets: { ...given } });
  const { objects, pods } = resourcesOf(plan);
  expect(objectsPlanned(objects), `objects of ${what}`).toEqual(objectsMade(recording));
  expect(podsPlanned(pods, plan), `pods of ${what}`).toEqual(podsMade(recording, plan));
}

const everything = [
  "sandbox: { prepull: { enabled: true } }",
  "serving: [{ name: judge, model_path: /models/x, gpus: 2, replicas: 2 }]",
].join("\n");

describe("the Plan's list of resources, against what is registered", () => {
  it.each([
    ["single-node", ""],
    ["two-node", ""],
    ["three-node", "proxy: { mode: litellm }"],
    ["three-node-veomni", ""],
    ["single-node-dense", ""],
    ["single-node-stock", ""],
    ["two-node-stock", ""],
    ["single-node", everything],
  ])("%s %s", async (base, yaml) => {
    await expectSame(shipped(yaml, base), base);
  });

  it("has a Secret in each namespace where registry credentials are given", async () => {
    const given = { ...secrets, registryCredentials: "{}" };
    await expectSame(shipped("", "single-node", given), "registry credentials", given);
    await expectSame(shipped("", "two-node", given), "registry credentials", given);
  });
});

/**
 * Variants that the schema or a rule refuses, by setting and reason, with their number. The tiers are refused without
 * their defaults; the shipped experiments have them. The others need more than one changed setting, and reach pods
 * only by numbers or by the trainer's command.
 */
const refused: Readonly<Record<string, number>> = {
  "algorithm.policy_loss_mode: policy-loss": 1,
  "experiment.trials_dir: C-07": 1,
  "harbor_agent.agent_import_path: C-22": 1,
  "harbor_agent.scaffold: C-22": 2,
  "harbor_agent.host_path_mounts: sandbox-host-path": 1,
  "harbor_agent.host_path_mounts[].host_path: sandbox-host-path": 1,
  "harbor_agent.host_path_mounts[].mount_path: sandbox-host-path": 1,
  "harbor_agent.host_path_mounts[].read_only: sandbox-host-path": 2,
  "harbor_runtime.num_workers: batch-workers": 1,
  "harbor_agent.agent_name: C-23": 1,
  "harbor_agent.verifier_enabled: no-reward": 1,
  "infrastructure.litellm_port: C-06": 1,
  "infrastructure.ngpus_per_node: C-02": 1,
  "infrastructure.rollout_nodes: node-split": 1,
  "k8s.pod_active_deadline_seconds: sandbox-deadline": 1,
  "k8s.val_pod_active_deadline_seconds: sandbox-deadline": 1,
  "rehearsal: rehearsal": 1,
  // Rules that may not be waived.
  "serving[].tool_call_parser: tool-parser-known": 1,
  "site.gpu_nodes.memory: host-memory": 1,
  "site.harbor.inline_build: inline-build": 1,
  "storage.checkpoints.size: checkpoint-size": 1,
  "tier: sandbox-quota": 2,
  "training.actor_offload: gpu-memory": 1,
  "training.cp_size: engine-settings": 1,
  "training.ep_size: engine-settings": 1,
  "training.fsdp_size: schema": 1,
  "training.pp_size: engine-settings": 1,
  "training.sp_size: C-12": 1,
  "training.tp_size: engine-settings": 1,
  "training.train_batch_size: batch-workers": 1,
  "training.train_prompt_mini_batch_size: mini-batch": 1,
  "verl.engine: engine-settings": 1,
  "verl.router_replay: C-15": 2,
  "verl.tool_call_parser: C-22": 1,
  "vllm.gen_tp: C-01": 1,
};

describe("every variant of the settings, derived from their schemas", () => {
  const base = shipped("");
  const { accepted, skipped } = judge(base);
  const unchanged = planOf(base);
  const differing = distinct(accepted.filter(({ plan }) => !isAlike(plan, unchanged)));

  it("is refused only where that is known", () => {
    const counts = Object.entries(
      Object.groupBy(skipped, ({ path, reason }) => `${path}: ${reason}`),
    ).map(([key, all]) => [key, all?.length]);
    expect(Object.fromEntries(counts)).toEqual(refused);
  });

  it("is there for every setting", () => {
    const varied = new Set([...accepted, ...skipped].map(({ path }) => path));
    const settings = [
      ...leaves(experiment),
      ...leaves(kubernetesSite).map((path) => `site.${path}`),
    ];
    // The kind of a union's branch is its only value.
    const missing = settings.filter((path) => !varied.has(path) && !/\bkind$/.test(path));
    // Settings that admit one value only.
    expect(missing).toEqual([
      "infrastructure.anthropic_api_key",
      "harbor_agent.environment_type",
      "credentials.wandb_api_key",
    ]);
    expect(settings.length).toBeGreaterThan(200);
  });

  it("has the resources of its Plan", { timeout: 120_000 }, async () => {
    expect(differing.length).toBeGreaterThan(100);
    await expectAllSame(base, differing);
  });

  it("has them where it takes effect only beside another", { timeout: 120_000 }, async () => {
    const idle = new Set(
      accepted.filter(({ plan }) => isAlike(plan, unchanged)).map(({ path }) => path),
    );
    const full = shipped(everything);
    const own = planOf(full);
    const effective = judge(full).accepted.filter(
      ({ path, plan }) => idle.has(path) && !isAlike(plan, own),
    );
    expect(effective.map(({ path }) => path)).toContain("sandbox.prepull.images");
    await expectAllSame(full, distinct(effective));
  });
});

/** One of each list of objects alone, so that no other hides what it makes; the others packed together. */
async function expectAllSame(base: Settings, variants: readonly Judged[]): Promise<void> {
  const listOf = (plan: Plan) => objectsPlanned(resourcesOf(plan).objects).join();
  const seen = new Set([listOf(planOf(base))]);
  const packed: Judged[] = [];
  for (const variant of variants) {
    const { path, value, plan, settings } = variant;
    if (seen.has(listOf(plan))) packed.push(variant);
    else await expectSame(settings, `${path}: ${JSON.stringify(value)}`);
    seen.add(listOf(plan));
  }
  for (const settings of pack(base, packed)) await expectSame(settings, "several variants");
}

function planOf(settings: Settings): Plan {
  const tried = tryIt(settings);
  if (!("plan" in tried)) throw new Error(`the base is refused: ${tried.reason}`);
  return tried.plan;
}

/** Settings of a schema that hold no others. */
function leaves(schema: z.ZodType): string[] {
  const all = knownPaths(schema).map((path) => path.join(".").replaceAll(".[]", "[]"));
  return [...new Set(all)].filter(
    (path) => !all.some((other) => other.startsWith(`${path}.`) || other.startsWith(`${path}[`)),
  );
}

/** Settings whose schema is that of an image, as variants call them. */
function imageSettings(schema: z.ZodType): string[] {
  const { pattern } = z.toJSONSchema(imageSchema());
  const search = (place: JsonSchema, path: string): string[] => [
    ...(place.pattern === pattern ? [path] : []),
    ...(branchesOf(place) ?? []).flatMap((branch) => search(branch, path)),
    ...(place.items ? search(schemaOf(place.items), `${path}[]`) : []),
    ...Object.entries(place.properties ?? {}).flatMap(([key, inner]) =>
      search(schemaOf(inner), path === "" ? key : `${path}.${key}`),
    ),
  ];
  return search(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }), "");
}

/** One variant of each Plan: several may decide the same. */
function distinct(variants: readonly Judged[]): Judged[] {
  const kept: Judged[] = [];
  for (const one of variants)
    if (!kept.some((other) => isAlike(other.plan, one.plan))) kept.push(one);
  return kept;
}

describe("the images that preflight asks the nodes for", () => {
  const full = shipped(everything);
  const firewall = "registry.example.com/netadmin:1";
  const sidecar = complete(
    putSettings(
      putSettings(full, "sandbox.profile", "sidecar"),
      "site.harbor.netadmin_image",
      firewall,
    ),
  );
  if (!sidecar) throw new Error("the schema refuses the sidecar");
  const settings = new Set([
    ...imageSettings(experiment),
    ...imageSettings(kubernetesSite).map((path) => `site.${path}`),
  ]);
  const bases = { plain: shipped(""), full, sidecar };
  const cases = Object.entries(bases).flatMap(([base, given]) =>
    judge(given)
      .accepted.filter(({ path, value }) => settings.has(path) && typeof value === "string")
      .map(({ value, ...one }) => ({ base, image: String(value), ...one })),
  );

  it("are varied by every setting that names one", () => {
    expect(settings).toContain("site.images.gate");
    expect(new Set(cases.map(({ path }) => path))).toEqual(settings);
  });

  // Anywhere in an object: containers, image volumes, variables of Harbor, the container that admission adds.
  it.each(cases)("are those in the objects: $path, $base", async ({ image, settings, plan }) => {
    const { recording } = await recordSettings(settings, { secrets: { ...secrets } });
    const named = JSON.stringify(recording.registrations.map(({ inputs }) => inputs));
    const asked = new Set(imagesOf(plan).flatMap(({ images }) => images));
    expect(asked.has(image)).toBe(named.includes(image));
    for (const one of asked) expect(named).toContain(one);
  });

  it("are asked of the nodes of each kind of pods that name them", () => {
    const of = (kind: string) =>
      new Set(
        imagesOf(planOf(sidecar)).flatMap(({ nodes, images }) => (nodes === kind ? images : [])),
      );
    const { gate, training, litellm, pause } = clusterOf(sidecar).images;
    const runtime = planOf(sidecar).scaffold.runtimeImage;
    expect(of("gpu")).toEqual(new Set([training]));
    expect(of("cpu")).toEqual(new Set([training, gate, litellm]));
    expect(of("sandbox")).toEqual(new Set([pause, runtime, gate, firewall]));
  });
});

describe("the rights that preflight asks for", () => {
  it("are enough for every object, and for no more than patching a node", () => {
    const plan = planOf(shipped(everything));
    const rights = rightsOf(plan);
    for (const { apiVersion, resource, namespace, how } of resourcesOf(plan).objects) {
      const group = apiVersion.includes("/") ? apiVersion.split("/")[0] : "";
      const verbs = how === "patch" ? ["get", "patch"] : ["get", "create", "patch", "delete"];
      for (const verb of verbs) {
        expect(rights).toContainEqual({ verb, group, resource, namespace });
      }
    }
    expect(rights).toContainEqual({
      verb: "create",
      group: "apps",
      resource: "daemonsets",
      namespace: "run-train",
    });
  });
});
