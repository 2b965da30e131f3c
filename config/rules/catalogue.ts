/** Every rule by its id. Ids are a contract: experiments waive rules by them. */
import { clusterRules } from "./cluster.ts";
import { configurationRules } from "./configuration.ts";
import { dockerRules } from "./docker.ts";
import type { RuleText } from "./rule.ts";

const all = { ...configurationRules, ...clusterRules, ...dockerRules } as const;

export type RuleId = keyof typeof all;

type CheckedInPreflight = {
  [Id in RuleId]: (typeof all)[Id]["checkedBy"] extends "preflight" ? Id : never;
}[RuleId];

/** Ids of the rules that preflight itself checks on a Docker host. */
export type DockerPreflightRuleId = Extract<CheckedInPreflight, keyof typeof dockerRules>;

/** Ids of the rules that preflight itself checks on a cluster. */
export type PreflightRuleId = Exclude<CheckedInPreflight, DockerPreflightRuleId>;

export const catalogue: Readonly<Record<RuleId, RuleText>> = all;

export const ruleIds = Object.keys(all) as [RuleId, ...RuleId[]];
