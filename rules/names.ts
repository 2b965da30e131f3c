/** Rules about names, and about the tracker that shows them. */
import { inClear } from "../config/schema/secret-form.ts";
import { longestStackName } from "../plan/names.ts";
import { defineRule, noPlan } from "./rule.ts";

export const stackName = defineRule({
  id: "stack-name",
  spoils: "names",
  title: "the stack's name can name namespaces",
  severity: "fatal",
  consequence: "the API server would refuse every object",
  remedy: "choose another: pulumi stack init NAME",
  source: "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/",
  unwaivable: noPlan,
  *check({ settings: { stack } }) {
    if (stack.length > longestStackName) {
      yield {
        found: `the stack name "${stack}" has ${stack.length} characters, and with the endings of its namespaces at most ${longestStackName} fit`,
        remedy: "choose a shorter one: pulumi stack init NAME",
      };
    }
    if (!/^[a-z]([a-z0-9-]*[a-z0-9])?$/.test(stack)) {
      yield {
        found: `the stack name "${stack}" cannot name a Kubernetes namespace, which begins with a lower-case letter and has only lower-case letters, digits and inner hyphens`,
      };
    }
  },
});

/** Weights & Biases' limit for the name of a project or a run. */
const longestRunName = 128;

export const runName = defineRule({
  id: "run-name",
  title: "names that the tracker and the file system take",
  severity: "fatal",
  consequence: "the tracker refuses the run, or its directories cannot be made",
  remedy: "choose a shorter name",
  source: "https://docs.wandb.ai/models/track/limits",
  *check({ settings: { experiment } }) {
    for (const key of ["project_name", "exp_name"] as const) {
      const { length } = experiment.experiment[key];
      if (length <= longestRunName) continue;
      yield {
        path: ["experiment", key],
        found: `has ${length} characters; the tracker takes at most ${longestRunName}`,
      };
    }
  },
});

export const trackerKey = defineRule({
  id: "C-10",
  title: "a tracker key where tracking is online",
  severity: "fatal",
  consequence: "the tracker refuses, and the run is orphaned",
  remedy:
    "store it with pulumi config set --secret swe-rl:wandbApiKey, or set credentials.wandb_mode to offline or disabled",
  source: "docs/decisions.md#c-10",
  *check({ settings: { secrets }, plan: { trainer } }) {
    if (!trainer.tracked || secrets?.has("wandbApiKey")) return;
    const path = ["credentials", "wandb_mode"];
    yield secrets
      ? { path, found: "is online, but the stack has no secret wandbApiKey" }
      : {
          severity: "unknown",
          path,
          found: "is online; whether the stack has the secret wandbApiKey is unknown here",
        };
  },
});

export const secretForm = defineRule({
  id: "secret-form",
  title: "secrets of the stack are encrypted, and of the form that their readers take",
  severity: "fatal",
  consequence: "the tracker, the registry or the daemon refuses it, after the GPUs are taken",
  remedy: "store it anew: pulumi config set --secret swe-rl:NAME < FILE",
  source: "https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/",
  *check({ settings: { secretFlaws } }) {
    for (const { name, flaw } of secretFlaws) {
      yield {
        found: `the stack secret ${name} ${flaw}`,
        ...(flaw === inClear ? { consequence: "everyone who reads the file has it" } : {}),
        remedy: `store it anew: pulumi config set --secret swe-rl:${name} < FILE`,
      };
    }
  },
});
