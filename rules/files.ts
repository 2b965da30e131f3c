/** Rules that the loader and the schema check while they read the files. */
import { defineSchemaRule } from "./rule.ts";

const noSettings = "there would be no settings";

export const readable = defineSchemaRule({
  id: "C-36",
  title: "files that can be read, with settings that exist and have the right form",
  severity: "fatal",
  consequence: "the settings have no meaning",
  remedy: "correct what the message names; docs/settings.md has every setting",
  source: "docs/decisions.md#c-36",
  unwaivable: noSettings,
});

export const hostPathMounts = defineSchemaRule({
  id: "C-42",
  title: "hostPath mounts are a list of absolute paths",
  severity: "fatal",
  consequence: "Harbor cannot construct a trial",
  remedy: "host_path and mount_path that begin with /",
  source: "docs/decisions.md#c-42",
  unwaivable: noSettings,
});

export const memoryFactor = defineSchemaRule({
  id: "C-43",
  title: "a sandbox may use at least the memory that it requests",
  severity: "fatal",
  consequence: "the API server refuses every sandbox",
  remedy: "sandbox.memory_limit_factor of at least 1",
  source: "docs/decisions.md#c-43",
  unwaivable: noSettings,
});

export const podPrefix = defineSchemaRule({
  id: "C-44",
  title: "sandbox pods have a name prefix",
  severity: "fatal",
  consequence: "cleanup, which selects pods by it, would delete those of others",
  remedy: "leave harbor_agent.pod_name_prefix out, or name one",
  source: "docs/decisions.md#c-44",
  unwaivable: noSettings,
});

export const absolutePaths = defineSchemaRule({
  id: "C-48",
  title: "absolute paths of model and indexes",
  severity: "fatal",
  consequence: "preflight and launch would look for them in different directories",
  remedy: "write the path as the training containers see it",
  source: "docs/decisions.md#c-48",
  unwaivable: noSettings,
});

export const effective = defineSchemaRule({
  id: "no-effect",
  title: "every setting has an effect",
  severity: "warn",
  consequence: "what was meant by it does not happen",
  remedy: "leave it out",
  source: "docs/decisions.md#settings-that-do-nothing",
});

export const usedWaivers = defineSchemaRule({
  id: "waiver-unused",
  title: "every waiver waives something",
  severity: "warn",
  consequence: "it would hide the rule when it is broken one day",
  remedy: "leave it out",
  source: "docs/decisions.md#waivers",
  unwaivable: "it is about the waivers themselves",
});
