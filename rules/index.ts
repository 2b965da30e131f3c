/** Every rule, for preflight, waivers, documents and editors. A rule that one of these files exports is in. */
import * as access from "./cluster/access.ts";
import * as bounds from "./cluster/bounds.ts";
import * as cluster from "./cluster/cluster.ts";
import * as egressProof from "./cluster/egress-proof.ts";
import * as gpuClaim from "./cluster/gpu-claim.ts";
import * as gpuFree from "./cluster/gpu-free.ts";
import * as clusterIdentity from "./cluster/identity.ts";
import * as imageVolumes from "./cluster/image-volumes.ts";
import * as network from "./cluster/network.ts";
import * as nodeImages from "./cluster/node-images.ts";
import * as nodePools from "./cluster/node-pools.ts";
import * as nodes from "./cluster/nodes.ts";
import * as platform from "./cluster/platform.ts";
import * as capacity from "./cluster/capacity.ts";
import * as sandboxAdmission from "./cluster/sandbox-admission.ts";
import * as sandboxNodes from "./cluster/sandbox-nodes.ts";
import * as run from "./cluster/run.ts";
import * as storage from "./cluster/storage.ts";
import * as agent from "./agent.ts";
import * as asyncTraining from "./async-training.ts";
import * as batches from "./batches.ts";
import * as daemon from "./docker/daemon.ts";
import * as daemonIdentity from "./docker/identity.ts";
import * as dockerSite from "./docker/site.ts";
import * as engine from "./engine.ts";
import * as files from "./files.ts";
import * as images from "./images.ts";
import * as learning from "./learning.ts";
import * as memory from "./memory.ts";
import * as names from "./names.ts";
import * as siteNodes from "./nodes.ts";
import * as parallelism from "./parallelism.ts";
import * as ray from "./ray.ts";
import * as sandboxes from "./sandboxes.ts";
import * as serving from "./serving.ts";
import * as volumes from "./storage.ts";
import * as verl from "./verl.ts";
import type { ClusterRule, DockerRule, RuleText, SchemaRule, SettingsRule } from "./rule.ts";

const settings = [
  agent,
  asyncTraining,
  batches,
  dockerSite,
  engine,
  images,
  learning,
  memory,
  names,
  parallelism,
  ray,
  sandboxes,
  serving,
  siteNodes,
  verl,
  volumes,
] as const;
const clusters = [
  access,
  bounds,
  cluster,
  egressProof,
  gpuClaim,
  gpuFree,
  clusterIdentity,
  imageVolumes,
  network,
  nodeImages,
  nodePools,
  nodes,
  platform,
  capacity,
  sandboxAdmission,
  run,
  sandboxNodes,
  storage,
] as const;
const hosts = [daemon, daemonIdentity] as const;

/** The rules that a module exports; two modules may give theirs the same name. */
type RuleIn<Module> = Module extends unknown ? Module[keyof Module] : never;
type IdIn<Modules extends readonly unknown[]> =
  RuleIn<Modules[number]> extends RuleText<infer Id> ? Id : never;

/** Ids of the rules that judge settings and Plan. */
export type SettingsRuleId = IdIn<typeof settings>;
/** Ids of the rules that judge what a cluster says of itself. */
export type ClusterRuleId = IdIn<typeof clusters>;
export type RuleId =
  SettingsRuleId | ClusterRuleId | IdIn<typeof hosts> | IdIn<readonly [typeof files]>;

type AnyRule = SettingsRule | ClusterRule | DockerRule | SchemaRule;
export type Judges = AnyRule["judges"];

/** What documents, reports and waivers need of a rule. */
export type RuleEntry = RuleText<RuleId> & { readonly judges: Judges };

/** The order of a module's exports depends on who loads it; ids give an order that stays. */
function sorted<R extends RuleText>(modules: readonly Readonly<Record<string, R>>[]): readonly R[] {
  return modules.flatMap((module) => Object.values(module)).sort((a, b) => (a.id < b.id ? -1 : 1));
}

export const settingsRules: readonly SettingsRule<RuleId>[] =
  sorted<SettingsRule<RuleId>>(settings);
export const clusterRules: readonly ClusterRule<RuleId>[] = sorted<ClusterRule<RuleId>>(clusters);
export const dockerRules: readonly DockerRule<RuleId>[] = sorted<DockerRule<RuleId>>(hosts);

export const rules: readonly RuleEntry[] = sorted<RuleEntry>([
  ...settings,
  ...clusters,
  ...hosts,
  files,
]);

export const ruleById = Object.fromEntries(rules.map((rule) => [rule.id, rule])) as Readonly<
  Record<RuleId, RuleEntry>
>;

export const ruleIds = rules.map(({ id }) => id) as [RuleId, ...RuleId[]];

export function isRuleId(id: string): id is RuleId {
  return Object.hasOwn(ruleById, id);
}
