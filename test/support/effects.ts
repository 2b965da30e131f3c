/** Where settings take effect: found by comparing Plans that differ in one of them. */
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { sometimesIneffective } from "../../config/load/ineffective.ts";
import type { Settings } from "../../config/load/load.ts";
import { type Experiment, experiment, tiers } from "../../config/schema/experiment.ts";
import { kubernetesSite } from "../../config/schema/site.ts";
import { type Plan, plan } from "../../plan/plan.ts";
import { judge, type RuleProblem, settingsWith } from "./settings.ts";
import { complete, putSettings } from "./variants/settings.ts";
import { type Variant, variantsOf } from "./variants/walk.ts";

/** What decides which settings a run has use for; the proxy's mode is that of tier and distribution. */
export interface Combination {
  readonly tier: (typeof tiers)[number];
  readonly engine: Experiment["verl"]["engine"];
  readonly distribution: Experiment["verl"]["distribution"];
}

export const engines = ["fsdp", "veomni", "megatron"] as const;
export const distributions = ["fork", "stock"] as const;

export const combinations: readonly Combination[] = tiers.flatMap((tier) =>
  engines.flatMap((engine) =>
    distributions.map((distribution) => ({ tier, engine, distribution })),
  ),
);

export type Effect =
  /** Keys of verl's command line, variables, parts of the Plan. */
  | { readonly kind: "planned"; readonly places: readonly string[] }
  /** A value other than the base's ends the command. */
  | { readonly kind: "refused"; readonly rule: string }
  | { readonly kind: "warned"; readonly reason: string }
  | { readonly kind: "none" };

/** Settings that reach something which is no part of the Plan. */
export const outsideThePlan: Readonly<Record<string, string>> = {
  "preflight.strict": "the preflight",
  "preflight.waive": "the preflight",
  "site.cluster.context": "the connection to the cluster",
  "model.config_file": "the model's shapes, from which the Plan is made",
};

const karpenter = {
  kind: "karpenter",
  node_class: { group: "karpenter.k8s.aws", kind: "EC2NodeClass", name: "gpu" },
  requirements: [{ key: "node.kubernetes.io/instance-type", values: ["x"] }],
};
const judgeModel = [{ name: "judge", model_path: "/models/judge", gpus: 1 }];

/** Settings beside which others have an effect, by the beginning of their path. */
const beside: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "algorithm.kl_loss": { "algorithm.use_kl_loss": true },
  "algorithm.rollout_is_threshold": { "algorithm.rollout_is": "token" },
  "credentials.wandb_mode": { "site.tracking": "allowed" },
  "harbor_runtime.tail_kill": { "harbor_runtime.tail_kill_target": 0.95 },
  "sandbox.prepull.images": { "sandbox.prepull.enabled": true },
  "site.gpu_nodes.pool": { "site.gpu_nodes.selector": {}, "site.gpu_nodes.pool": karpenter },
  "site.sandbox_nodes.pool": {
    "site.sandbox_nodes.selector": {},
    "site.sandbox_nodes.pool": karpenter,
  },
  "site.harbor.netadmin_image": { "sandbox.profile": "sidecar" },
  "site.images.build": {
    "site.images.training": undefined,
    "site.images.build": { repository: "registry.example.com/swe-rl" },
  },
  "site.images.pause": { "sandbox.prepull.enabled": true },
  "site.images.vllm": { serving: judgeModel },
  "site.sandbox_nodes.runtime_classes.gvisor": { "sandbox.profile": "gvisor" },
  "site.sandbox_nodes.runtime_classes.kata": { "sandbox.profile": "kata" },
  "training.ref_offload": { "algorithm.use_kl_loss": true },
};

/** Values that differ in effect from the base's, where the variants' do not. */
const values: Readonly<Record<string, readonly unknown[]>> = {
  "algorithm.trajectory_filter.enable": [true],
  "async_training.trigger_parameter_sync_step": [3],
  "harbor_agent.max_call_tokens": [1000],
  "infrastructure.nnodes": [7],
  "infrastructure.rollout_nodes": [2],
  "infrastructure.trainer_nodes": [3],
  "site.gpu_nodes.pool": [{ ...karpenter, capacity_types: ["spot"] }],
  "site.images.build.args": [{ training: { MAX_JOBS: "8" } }],
  "training.fsdp_size": [4],
};

/** What each setting does for one combination, by its path; lists and what is in them are one setting. */
export function effectsFor(combination: Combination): Map<string, Effect> {
  const { tier, engine, distribution } = combination;
  const version = distribution === "fork" ? "0.8.0" : "0.9.1";
  const given = [
    `verl: { engine: ${engine}, distribution: ${distribution}, version: ${version} }`,
    // The loop of this project serves no policy itself.
    ...(distribution === "stock" ? ["proxy: { mode: litellm }"] : []),
  ].join("\n");
  const { settings: base } = settingsWith(`${given}\ntraining: { sp_size: 1 }`, {
    base: tier,
    secrets: new Set(["wandbApiKey"]),
  });
  const plain = trialsOf(base);
  const grounds = new Map(
    Object.entries(beside).map(([prefix, changes]) => [prefix, trialsOf(withAll(base, changes))]),
  );
  const paths = new Set(plain.variants.map(({ path }) => rootOf(path)));
  return new Map(
    [...paths].map((path) => {
      const prefix = companyOf(path) ?? "";
      const written = [given, ...writtenOf(beside[prefix] ?? {})].join("\n");
      return [path, effectOf(path, grounds.get(prefix) ?? plain, { given: written, tier })];
    }),
  );
}

function companyOf(path: string): string | undefined {
  return Object.keys(beside).find((prefix) => path.startsWith(prefix));
}

/** Settings that a setting needs beside itself, as dotted paths; not those that it rules out. */
export function needs(path: string): readonly string[] {
  return Object.entries(beside[companyOf(path) ?? ""] ?? {})
    .filter(([one, value]) => value !== undefined && path !== one && !path.startsWith(`${one}.`))
    .map(([one]) => one);
}

/** Companions in the experiment's file; those in the site's say nothing of warnings. */
function writtenOf(companions: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(companions)
    .filter(([path]) => !path.startsWith("site."))
    .map(([path, value]) => topLevel(nested(path, value)));
}

/** Settings, their Plan, and their variants. */
interface Trials {
  readonly settings: Settings;
  readonly plan: Plan;
  readonly variants: readonly Variant[];
}

function trialsOf(settings: Settings): Trials {
  const variants = [
    ...variantsOf(experiment, settings.experiment),
    ...variantsOf(kubernetesSite, settings.site, "site"),
  ];
  return { settings, plan: plan(settings), variants };
}

function withAll(base: Settings, changes: Readonly<Record<string, unknown>>): Settings {
  const changed = Object.entries(changes).reduce(
    (all, [path, value]) => putSettings(all, path, value),
    base,
  );
  const whole = complete(changed);
  if (!whole) throw new Error(`not admitted: ${JSON.stringify(changes)}`);
  return whole;
}

function effectOf(
  path: string,
  { settings, plan: own, variants }: Trials,
  { given, tier }: { given: string; tier: string },
): Effect {
  const layer = path.startsWith("site.") ? "site" : "experiment";
  const changed = [
    ...variants
      .filter((one) => rootOf(one.path) === path)
      .map((one) => ({ ...settings, [layer]: one.settings })),
    ...(values[path] ?? []).map((value) => putSettings(settings, path, value)),
  ].flatMap((one) => complete(one) ?? []);
  const places = new Set(changed.flatMap((one) => placesOf(own, plan(one))));
  // What is said to have no effect may still be in the Plan, which then nothing reads.
  const warning = warningOf(path, variants, { given, tier });
  if (warning !== undefined) return { kind: "warned", reason: warning };
  if (places.size > 0) return { kind: "planned", places: [...places] };
  const keyOf = ({ rule, path: at }: RuleProblem) => `${rule} ${at.join(".")}`;
  const before = new Set(judge(settings).problems.map(keyOf));
  const refusal = changed
    .flatMap((one) => judge(one).problems)
    .find((problem) => !before.has(keyOf(problem)))?.rule;
  return refusal === undefined ? { kind: "none" } : { kind: "refused", rule: refusal };
}

/** What loading says of the setting, written into a file. */
function warningOf(
  path: string,
  variants: readonly Variant[],
  { given, tier }: { given: string; tier: string },
): string | undefined {
  const value = values[path]?.[0] ?? variants.find((one) => rootOf(one.path) === path)?.value;
  const isKnown = [...sometimesIneffective].some((one) => `${path}.`.startsWith(`${one}.`));
  if (!isKnown || value === undefined) return undefined;
  try {
    const { warnings } = settingsWith(merged(given, nested(path, value)), { base: tier });
    const own = warnings.find(
      (one) => one.path.length > 0 && `${path}.`.startsWith(`${one.path.join(".")}.`),
    );
    return own?.message.replace(/^has no effect: /, "");
  } catch {
    // The schema refuses that value beside the others.
    return undefined;
  }
}

function nested(path: string, value: unknown): object {
  return path.split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as object;
}

/** The text with a setting more, also where it has others of the same section. */
function merged(text: string, more: object): string {
  const known = parse(text) as Record<string, object>;
  const all = Object.entries(more).reduce<Record<string, unknown>>(
    (one, [key, value]) => ({ ...one, [key]: { ...known[key], ...(value as object) } }),
    known,
  );
  return topLevel(all);
}

/** JSON is YAML, but for the braces around a whole file. */
function topLevel(written: object): string {
  return Object.entries(written)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
    .join("\n");
}

function rootOf(path: string): string {
  return path.split("[]")[0] ?? "";
}

function placesOf(a: Plan, b: Plan): string[] {
  const rest = (one: Plan) => {
    const { trainer, ...parts } = one;
    const { overrides: _, environment: __, argv: ___, fingerprint, rayNamespace, ...run } = trainer;
    return { ...parts, run, identity: [fingerprint, rayNamespace] } as Record<string, unknown>;
  };
  const [x, y] = [rest(a), rest(b)];
  return [
    ...differing(a.trainer.overrides, b.trainer.overrides, ({ key }) => key)
      .filter((key) => key !== "ray_kwargs.ray_init.namespace")
      .map((key) => `\`${key}\``),
    ...differing(a.trainer.environment, b.trainer.environment, ({ name }) => name).map(
      (name) => `\`${name}\``,
    ),
    ...(isDeepStrictEqual(programOf(a), programOf(b)) ? [] : ["verl's configuration file"]),
    ...Object.keys(x).filter((key) => key !== "identity" && !isDeepStrictEqual(x[key], y[key])),
  ];
}

function programOf({ trainer }: Plan): string[] {
  return trainer.argv.filter((one) => one.startsWith("--config") || one.startsWith("verl."));
}

function differing<T extends { readonly source: string }>(
  a: readonly T[],
  b: readonly T[],
  nameOf: (one: T) => string,
): string[] {
  const texts = (list: readonly T[]) =>
    new Map(list.map((one) => [nameOf(one), JSON.stringify({ ...one, source: "" })]));
  const [x, y] = [texts(a), texts(b)];
  return [...new Set([...x.keys(), ...y.keys()])].filter((name) => x.get(name) !== y.get(name));
}
