/** Every rule by its id. Ids are a contract: experiments waive rules by them. */
import { clusterRules } from "./cluster.ts";
import { configurationRules } from "./configuration.ts";
import { memoryRules } from "./memory.ts";
import { dockerRules } from "./docker.ts";
import { sandboxNodeRules } from "./sandbox-nodes.ts";
import { sandboxRules } from "./sandboxes.ts";

const all = {
  ...configurationRules,
  ...memoryRules,
  ...clusterRules,
  ...dockerRules,
  ...sandboxRules,
  ...sandboxNodeRules,
} as const;

export type OldRuleId = keyof typeof all;

type CheckedInPreflight = {
  [Id in OldRuleId]: (typeof all)[Id]["checkedBy"] extends "preflight" ? Id : never;
}[OldRuleId];

/** Ids of the rules that preflight itself checks on a Docker host. */
export type DockerPreflightRuleId = Extract<CheckedInPreflight, keyof typeof dockerRules>;

/** Ids of the rules that preflight itself checks on a cluster. */
export type PreflightRuleId = Exclude<CheckedInPreflight, DockerPreflightRuleId>;

export const oldRules = all;
