/** Every rule by its id. Ids are a contract: experiments waive rules by them. */
import { configurationRules } from "./configuration.ts";
import { memoryRules } from "./memory.ts";
import { dockerRules } from "./docker.ts";
import { sandboxNodeRules } from "./sandbox-nodes.ts";
import { sandboxRules } from "./sandboxes.ts";

const all = {
  ...configurationRules,
  ...memoryRules,
  ...dockerRules,
  ...sandboxRules,
  ...sandboxNodeRules,
} as const;

export type OldRuleId = keyof typeof all;

export const oldRules = all;
