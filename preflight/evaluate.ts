/** The one judge of a stack's settings: every command decides by it whether it may go on. */
import { nearest } from "../config/load/suggest.ts";
import type { Loaded } from "../config/load/load.ts";
import { type ConfigError, type Problem } from "../config/load/problem.ts";
import { type Plan, plan as decide } from "../plan/plan.ts";
import { broken, type Finding, fromProblem } from "../rules/finding.ts";
import { isRuleId, ruleById, ruleIds, type RuleId } from "../rules/index.ts";
import { judgeSettings } from "../rules/judge.ts";
import type { Severity } from "../rules/rule.ts";

export interface Evaluation {
  /** Meaningful only without fatal findings. */
  readonly plan: Plan;
  /** Waivers and strictness are applied. */
  readonly findings: readonly Finding[];
}

export interface EvaluateOptions {
  /** Take warnings for fatal whatever the experiment says. */
  readonly strict?: boolean;
}

/** Plans a stack and judges the Plan and its settings by every rule that needs no cluster. Reads nothing else. */
export function evaluate(loaded: Loaded, options: EvaluateOptions = {}): Evaluation {
  const { settings, warnings, locate } = loaded;
  const plan = decide(settings);
  const located = (finding: Finding): Finding => ({
    ...finding,
    // What is about no setting, such as the name of the stack, has no place in a file.
    location: finding.location ?? (finding.path && locate(finding.path)),
  });
  const of = (problems: readonly Problem[], severity: Severity, otherwise?: RuleId) =>
    problems.map((problem) => fromProblem(problem, severity, otherwise));
  const findings = [
    ...of(wrongWaivers(loaded), "fatal"),
    ...judgeSettings({ settings, plan }),
    ...of(warnings, "warn", "no-effect"),
  ];
  return { plan, findings: settle(findings.map(located), loaded, options) };
}

/** Applies what the experiment says of rules: a waived finding keeps its severity and says why; strict knows no warnings. */
export function settle(
  findings: readonly Finding[],
  { settings }: Pick<Loaded, "settings">,
  { strict = false }: EvaluateOptions = {},
): Finding[] {
  const { waive, strict: wanted } = settings.experiment.preflight;
  return findings.map((finding) => {
    if (finding.severity === "ok") return finding;
    const waiver = waive.find(({ rule }) => rule === finding.id);
    if (waiver && ruleById[finding.id].unwaivable === undefined) {
      return { ...finding, waived: waiver.reason };
    }
    return (strict || wanted) && finding.severity === "warn"
      ? { ...finding, severity: "fatal" }
      : finding;
  });
}

/** Waivers of what is no rule, and of rules that cannot be waived. */
function wrongWaivers({ settings }: Loaded): Problem[] {
  return settings.experiment.preflight.waive.flatMap(({ rule }, i): Problem[] => {
    const path = ["preflight", "waive", i, "rule"];
    if (!isRuleId(rule)) {
      const similar = nearest(rule, ruleIds);
      const hint = similar === undefined ? "docs/rules.md lists them" : `Did you mean ${similar}?`;
      return [{ path, message: `is ${rule}, which is not the id of a rule. ${hint}` }];
    }
    const { unwaivable } = ruleById[rule];
    if (unwaivable === undefined) return [];
    return [{ path, message: `${rule} cannot be waived: ${unwaivable}. Mend what it reports` }];
  });
}

/** A finding for every waiver that waives nothing. @param findings Of every rule, the cluster's included. */
export function unusedWaivers(
  findings: readonly Finding[],
  { settings, locate }: Loaded,
): Finding[] {
  return settings.experiment.preflight.waive.flatMap(({ rule }, i) => {
    const isWaivable = isRuleId(rule) && ruleById[rule].unwaivable === undefined;
    if (!isWaivable || findings.some(({ id, severity }) => id === rule && severity !== "ok")) {
      return [];
    }
    const path = ["preflight", "waive", i, "rule"];
    const found = `is ${rule}, which this stack does not break`;
    return [broken("waiver-unused", { found, path, location: locate(path) })];
  });
}

/**
 * What is wrong with settings that could not be loaded; and what was not checked for it.
 * @param clusterAsked Whether the report has what the cluster lacks for the stack without these settings.
 */
export function findingsOf({ problems }: ConfigError, clusterAsked = false): Finding[] {
  const waiting = clusterAsked
    ? "the rules about the settings wait until these are mended; those about the cluster take them as left out"
    : "the other rules, and those about the cluster, wait until these files can be read";
  return [
    ...problems.map((problem) => fromProblem(problem, "fatal")),
    broken("C-36", { severity: "unknown", found: waiting, consequence: "", remedy: "" }),
  ];
}

/** Whether the finding ends the command. */
export function isFatal({ severity, waived }: Finding): boolean {
  return severity === "fatal" && waived === undefined;
}
