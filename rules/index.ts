/** Every rule, for preflight, waivers, documents and editors. A rule that one of these files exports is in. */
import * as access from "./cluster/access.ts";
import * as bounds from "./cluster/bounds.ts";
import * as cluster from "./cluster/cluster.ts";
import * as egressProof from "./cluster/egress-proof.ts";
import * as gpuClaim from "./cluster/gpu-claim.ts";
import * as gpuFree from "./cluster/gpu-free.ts";
import * as network from "./cluster/network.ts";
import * as nodePools from "./cluster/node-pools.ts";
import * as nodes from "./cluster/nodes.ts";
import * as platform from "./cluster/platform.ts";
import * as room from "./cluster/room.ts";
import * as sandboxAdmission from "./cluster/sandbox-admission.ts";
import * as sandboxNodes from "./cluster/sandbox-nodes.ts";
import * as storage from "./cluster/storage.ts";
import * as daemon from "./docker/daemon.ts";
import { type OldRuleId, oldRules } from "./old/catalogue.ts";
import * as parallelism from "./parallelism.ts";
import type { ClusterRule, DockerRule, RuleText, SchemaRule, SettingsRule } from "./rule.ts";

const settings = { ...parallelism };

const clusters = {
  ...access,
  ...bounds,
  ...cluster,
  ...egressProof,
  ...gpuClaim,
  ...gpuFree,
  ...network,
  ...nodePools,
  ...nodes,
  ...platform,
  ...room,
  ...sandboxAdmission,
  ...sandboxNodes,
  ...storage,
};

const hosts = { ...daemon };

type IdOf<Group> = Group[keyof Group] extends RuleText<infer Id> ? Id : never;

/** Ids of the rules that judge settings and Plan. */
export type SettingsRuleId = IdOf<typeof settings>;
/** Ids of the rules that judge what a cluster says of itself. */
export type ClusterRuleId = IdOf<typeof clusters>;
export type RuleId = SettingsRuleId | ClusterRuleId | IdOf<typeof hosts> | OldRuleId;

type AnyRule = SettingsRule | ClusterRule | DockerRule | SchemaRule;
export type Judges = AnyRule["judges"];

/** What documents, reports and waivers need of a rule. */
export type RuleEntry = RuleText<RuleId> & { readonly judges: Judges };

/** The order of a module's exports depends on who loads it; ids give an order that stays. */
function sorted<R extends RuleText>(group: Readonly<Record<string, R>>): readonly R[] {
  return Object.values(group).sort((a, b) => (a.id < b.id ? -1 : 1));
}

export const settingsRules: readonly SettingsRule<RuleId>[] = sorted(settings);
export const clusterRules: readonly ClusterRule<RuleId>[] = sorted(clusters);
export const dockerRules: readonly DockerRule<RuleId>[] = sorted(hosts);

const judgesOf = { plan: "settings", schema: "files", preflight: "cluster" } as const;

const old = Object.fromEntries(
  Object.entries(oldRules).map(([id, { checkedBy, ...text }]): [string, RuleEntry] => [
    id,
    { id: id as OldRuleId, ...text, judges: judgesOf[checkedBy] },
  ]),
);

export const rules: readonly RuleEntry[] = sorted<RuleEntry>({
  ...settings,
  ...clusters,
  ...hosts,
  ...old,
});

export const ruleById = Object.fromEntries(rules.map((rule) => [rule.id, rule])) as Readonly<
  Record<RuleId, RuleEntry>
>;

export const ruleIds = rules.map(({ id }) => id) as [RuleId, ...RuleId[]];

export function isRuleId(id: string): id is RuleId {
  return Object.hasOwn(ruleById, id);
}
