/** A rule: one object with its text and its check. */
import type { Settings } from "../config/load/load.ts";
import type { SettingPath } from "../config/load/problem.ts";
import type { DockerHost } from "../plan/docker/index.ts";
import type { Host } from "../plan/host.ts";
import type { Plan } from "../plan/plan.ts";
import type { DockerFacts } from "../preflight/docker/facts.ts";
import type { Facts } from "../preflight/facts/facts.ts";

/** `unknown`: the check could not be made. It is shown, and never counts as passed. */
export type Severity = "ok" | "warn" | "fatal" | "unknown";

/** What a rule says of itself. */
export interface RuleText<Id extends string = string> {
  /** A contract: experiments waive rules by it. */
  readonly id: Id;
  /** What must hold. */
  readonly title: string;
  /** How bad a breach is: `fatal` ends the command before any resource exists. */
  readonly severity: "fatal" | "warn";
  /** What would happen if the run started anyway. */
  readonly consequence: string;
  /** What to do about a breach. */
  readonly remedy: string;
  /** A public place, a measured figure with its date, or a paragraph of this repository's documents. */
  readonly source: string;
  /** Why the rule cannot be waived. Omitted: an experiment can waive it with a reason. */
  readonly unwaivable?: string;
}

/** What one check found. Whatever is left out comes from the rule. */
export interface Verdict {
  /** Default: the rule's severity, which makes the verdict a breach. */
  readonly severity?: Severity;
  /** The value found, as the end of a sentence that begins with the setting. */
  readonly found: string;
  /** The setting in question. */
  readonly path?: SettingPath;
  /** What a run needs. Default: the rule's title. */
  readonly expected?: string;
  readonly consequence?: string;
  readonly remedy?: string;
}

/** What a check may look at: settings and decisions. */
export interface Decided {
  readonly settings: Settings;
  readonly host: Host;
  readonly plan: Plan;
}

/** What a check of a cluster rule may look at. */
export interface Subject extends Decided {
  readonly facts: Facts;
  /** Whether nothing is made yet, whatever is found. @default an update, or a command that speaks for one */
  readonly preview?: boolean | undefined;
  /** @default the stack has made nothing, or nobody knows what */
  readonly recorded?: Recorded | undefined;
}

/** Where a stack is, by its state. */
export interface Recorded {
  /** Of the cluster or the Docker daemon. */
  readonly identity: string;
  /** Its context, or the daemon's address, as it was called then. */
  readonly name: string;
}

/** What a check of a rule about a Docker host may look at. */
export interface DockerSubject extends Decided {
  readonly docker: DockerHost;
  readonly facts: DockerFacts;
  /** @default the stack has made nothing, or nobody knows what */
  readonly recorded?: Recorded | undefined;
}

/** Pure. No verdict: the rule is met, or does not concern this stack. */
export type Check<S> = (subject: S) => Iterable<Verdict>;

/** A part of the Plan that checks of a cluster or a Docker host stand on. */
export type PlanPart = "names" | "gpu pods";

/** Judges the settings and the Plan alone. */
export interface SettingsRule<Id extends string = string> extends RuleText<Id> {
  readonly judges: "settings";
  /** Without meaning while the rule is broken: checks that stand on it wait. @default nothing */
  readonly spoils?: PlanPart;
  readonly check: Check<Decided>;
}

/** Judges what the cluster says of itself. */
export interface ClusterRule<Id extends string = string> extends RuleText<Id> {
  readonly judges: "cluster";
  readonly standsOn?: readonly PlanPart[];
  readonly check: Check<Subject>;
}

/** Judges what a Docker daemon says of itself and its host. */
export interface DockerRule<Id extends string = string> extends RuleText<Id> {
  readonly judges: "docker";
  readonly standsOn?: readonly PlanPart[];
  readonly check: Check<DockerSubject>;
}

/** The schema of the files refuses a breach; a setting names the rule by `.meta({ rule })`. */
export interface SchemaRule<Id extends string = string> extends RuleText<Id> {
  readonly judges: "files";
}

type Defined<R> = Omit<R, "judges">;

export function defineRule<const Id extends string>(
  rule: Defined<SettingsRule<Id>>,
): SettingsRule<Id> {
  return { ...rule, judges: "settings" };
}

export function defineClusterRule<const Id extends string>(
  rule: Defined<ClusterRule<Id>>,
): ClusterRule<Id> {
  return { ...rule, judges: "cluster" };
}

export function defineDockerRule<const Id extends string>(
  rule: Defined<DockerRule<Id>>,
): DockerRule<Id> {
  return { ...rule, judges: "docker" };
}

export function defineSchemaRule<const Id extends string>(
  rule: Defined<SchemaRule<Id>>,
): SchemaRule<Id> {
  return { ...rule, judges: "files" };
}

/** Whether the check found the rule broken as it stands. */
export function isBreach({ severity }: Verdict): boolean {
  return severity === undefined;
}

/** Why a rule without which there is no meaningful Plan cannot be waived. */
export const noPlan = "without it there is no meaningful Plan";

/** The check was made, and the rule is met. */
export function met(found: string, expected?: string): Verdict {
  return { severity: "ok", found, ...(expected === undefined ? {} : { expected }) };
}

/** A fact that the check needs could not be read. @param expected Default: the rule's title. */
export function notRead(reason: string, expected?: string): Verdict {
  return {
    severity: "unknown",
    found: `not known: ${reason}`,
    consequence: "not checked",
    remedy: "make it readable for the account that runs Pulumi, or check it by hand",
    ...(expected === undefined ? {} : { expected }),
  };
}
