/** Every rule, for preflight, waivers, documents and editors. A rule that a listed file exports is in. */
import { type OldRuleId, oldRules } from "./old/catalogue.ts";
import * as parallelism from "./parallelism.ts";
import type { ClusterRule, RuleText, SchemaRule, SettingsRule } from "./rule.ts";

const settingsRules = { ...parallelism };

const listed = [...Object.values(settingsRules)];

type Listed = (typeof listed)[number];

/** Ids of the rules that judge settings and Plan. */
export type SettingsRuleId = Listed["id"];
export type RuleId = SettingsRuleId | OldRuleId;

export type AnyRule = SettingsRule | ClusterRule | SchemaRule;
export type Judges = AnyRule["judges"];

/** What documents, reports and waivers need of a rule. */
export type RuleEntry = RuleText<RuleId> & { readonly judges: Judges };

const judgesOf = { plan: "settings", schema: "files", preflight: "cluster" } as const;

const old = Object.entries(oldRules).map(([id, { checkedBy, ...text }]): RuleEntry => ({
  id: id as OldRuleId,
  ...text,
  judges: judgesOf[checkedBy],
}));

/** The order of a module's exports depends on who loads it; ids give an order that stays. */
const byId = (a: RuleText, b: RuleText) => (a.id < b.id ? -1 : 1);

export const rules: readonly RuleEntry[] = [...listed, ...old].sort(byId);

/** Rules that judge settings and Plan, with their checks. */
export const checkedSettingsRules: readonly SettingsRule<SettingsRuleId>[] = listed.sort(byId);

export const ruleById = Object.fromEntries(rules.map((rule) => [rule.id, rule])) as Readonly<
  Record<RuleId, RuleEntry>
>;

export const ruleIds = rules.map(({ id }) => id) as [RuleId, ...RuleId[]];

export function isRuleId(id: string): id is RuleId {
  return Object.hasOwn(ruleById, id);
}
