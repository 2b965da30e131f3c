/** Variants of whole settings, with what the schema and the Plan say of each. */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import type { Settings } from "../../../config/load/load.ts";
import { recipeDigests } from "../../../config/load/recipe-files.ts";
import { experiment } from "../../../config/schema/experiment.ts";
import { kubernetesSite } from "../../../config/schema/site.ts";
import type { Plan } from "../../../plan/plan.ts";
import { judge as judgeSettings } from "../settings.ts";
import { type Variant, variantsOf } from "./walk.ts";

export interface Judged extends Omit<Variant, "settings"> {
  readonly settings: Settings;
  readonly plan: Plan;
}

export interface Skipped {
  readonly path: string;
  /** The rule that refuses it, or `schema`. */
  readonly reason: string;
}

/** What a setting needs beside itself, by the beginning of its path: `site.` is in front of the site's settings. */
const companions: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "site.gpu_nodes.pool": { "site.gpu_nodes.selector": {} },
  // The shipped experiments run the fork, whose image no recipe makes.
  "site.images.build": {
    "site.images.training": undefined,
    "site.images.build.repository": "registry.example.com/swe-rl",
    "trainer.image": "registry.example.com/fork:1",
  },
  "site.sandbox_nodes.pool": { "site.sandbox_nodes.selector": {} },
  "sandbox.profile": { "site.harbor.netadmin_image": "registry.example.com/netadmin:1" },
};

/** Every variant of some settings, as accepted or as refused. */
export function judge(base: Settings): { accepted: Judged[]; skipped: Skipped[] } {
  const accepted: Judged[] = [];
  const skipped: Skipped[] = [];
  const all = [
    ...variantsOf(experiment, base.experiment).map((one) => [one, "experiment"] as const),
    ...variantsOf(kubernetesSite, base.site, "site").map((one) => [one, "site"] as const),
  ];
  for (const [variant, layer] of all) {
    const settings = { ...base, [layer]: variant.settings };
    const tried = tryIt(settings);
    const found = "plan" in tried ? tried : (withCompanions(variant.path, settings) ?? tried);
    if ("plan" in found) accepted.push({ ...variant, ...found });
    else skipped.push({ path: variant.path, reason: found.reason });
  }
  return { accepted, skipped };
}

type Tried = { readonly settings: Settings; readonly plan: Plan } | { readonly reason: string };

/** The settings as the schemas complete them, with their Plan; or what refuses them. */
export function tryIt(settings: Settings): Tried {
  const completed = complete(settings);
  if (!completed) return { reason: "schema" };
  const result = judgeSettings(completed);
  const [problem] = result.problems;
  if (problem) return { reason: problem.rule };
  return { settings: completed, plan: result.plan };
}

/** The settings as the schemas complete them; undefined where a schema refuses them. */
export function complete(settings: Settings): Settings | undefined {
  const checked = check(experiment, settings.experiment);
  const site = check(kubernetesSite, settings.site);
  if (!checked || !site) return undefined;
  const digests = site.images.build && recipeDigests();
  return { ...settings, experiment: checked, site, recipeDigests: digests };
}

function check<S extends z.ZodType>(schema: S, value: unknown): z.output<S> | undefined {
  const { data } = schema.safeParse(value);
  return data;
}

function withCompanions(path: string, settings: Settings): Tried | undefined {
  const key = Object.keys(companions).find((prefix) => path.startsWith(prefix));
  if (key === undefined) return undefined;
  return tryIt(
    Object.entries(companions[key] ?? {}).reduce(
      (all, [at, value]) => putSettings(all, at, value),
      settings,
    ),
  );
}

/**
 * Variants in few settings, so that each is in one of them: variants of different places together, as far as the Plan
 * accepts them.
 */
export function pack(base: Settings, variants: readonly Judged[]): Settings[] {
  const packed: Settings[] = [];
  for (let rest = variants; rest.length > 0;) {
    const round = { settings: base, paths: [] as string[] };
    const left = rest.filter((one) => {
      if (round.paths.some((path) => path.startsWith(one.path) || one.path.startsWith(path))) {
        return true;
      }
      const tried = tryIt(overlay(round.settings, base, one.settings) as Settings);
      if (!("plan" in tried)) return true;
      round.settings = tried.settings;
      round.paths.push(one.path);
      return false;
    });
    if (left.length === rest.length) throw new Error(`not accepted alone: ${left[0]?.path ?? ""}`);
    packed.push(round.settings);
    rest = left;
  }
  return packed;
}

/** A value with what a variant changes of a base. */
export function overlay(value: unknown, base: unknown, variant: unknown): unknown {
  if (isDeepStrictEqual(base, variant)) return value;
  if (!isMapping(value) || !isMapping(base) || !isMapping(variant)) return variant;
  const keys = new Set([...Object.keys(value), ...Object.keys(base), ...Object.keys(variant)]);
  return Object.fromEntries(
    [...keys]
      .map((key) => [key, overlay(value[key], base[key], variant[key])] as const)
      .filter(([, merged]) => merged !== undefined),
  );
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Set)
  );
}

export function putSettings(settings: Settings, path: string, value: unknown): Settings {
  const parts = partsOf(path);
  const last = parts.pop() ?? "";
  const copy = structuredClone(settings);
  const parent = parts.reduce<Record<string, unknown>>(
    (at, part) => (at[part] ??= {}) as Record<string, unknown>,
    copy as unknown as Record<string, unknown>,
  );
  parent[last] = value;
  return copy;
}

function partsOf(path: string): string[] {
  return (path.startsWith("site.") ? path : `experiment.${path}`).split(".");
}

/**
 * Whether two Plans differ only in what no object's kind, name, namespace or pod can depend on: command lines, and
 * decisions that nothing in components and stacks reads.
 */
export function isAlike(a: Plan, b: Plan): boolean {
  return isDeepStrictEqual(relevant(a), relevant(b));
}

function relevant(plan: Plan): object {
  const { trainer, serving, ...rest } = plan;
  const { submitterRequests, image, tracked } = trainer;
  const unread = [
    "memory",
    "batches",
    "asyncTraining",
    "engine",
    "scaffold",
    "proxyCost",
    "outputs",
  ];
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([key]) => !unread.includes(key))),
    trainer: { submitterRequests, image, tracked },
    serving: serving.map((model) => ({ ...model, argv: [] })),
  };
}
