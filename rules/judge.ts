/** Runs the checks of all rules of a kind. */
import { hostOf } from "../plan/host.ts";
import { reachable } from "./cluster/cluster.ts";
import { daemonReachable } from "./docker/daemon.ts";
import { type Finding, findingOf } from "./finding.ts";
import { clusterRules, dockerRules, type RuleEntry, type RuleId, settingsRules } from "./index.ts";
import {
  type Check,
  type Decided,
  type DockerSubject,
  notRead,
  type PlanPart,
  type Subject,
  type Verdict,
} from "./rule.ts";

type Checked<S> = RuleEntry & {
  readonly check: Check<S>;
  readonly standsOn?: readonly PlanPart[];
};

/** What callers give; the host follows from the settings. */
type Given<S> = Omit<S, "host"> & Pick<Decided, "settings">;

/** Broken rules by the part of the Plan that means nothing because of them. */
export type Spoiled = ReadonlyMap<PlanPart, readonly RuleId[]>;

function run<S extends Decided>(
  rules: readonly Checked<S>[],
  given: Given<S>,
  spoiled: Spoiled = new Map(),
): Finding[] {
  const subject = { ...given, host: hostOf(given.settings) } as unknown as S;
  return rules.flatMap((rule) => {
    const broken = rule.standsOn?.flatMap((part) => spoiled.get(part) ?? []) ?? [];
    if (broken.length > 0) return [findingOf(rule, waiting(broken))];
    return Array.from(rule.check(subject), (verdict) => findingOf(rule, verdict));
  });
}

function waiting(broken: readonly RuleId[]): Verdict {
  return {
    severity: "unknown",
    found: `not checked: waits for ${[...new Set(broken)].join(" and ")} to be mended`,
    consequence: "not checked",
    remedy: "mend it, and check again",
  };
}

/** What of the Plan means nothing, by the fatal findings about the settings. */
export function spoiledBy(fatal: readonly Finding[]): Spoiled {
  const spoiled = new Map<PlanPart, RuleId[]>();
  for (const { id } of fatal) {
    const part = settingsRules.find((rule) => rule.id === id)?.spoils;
    if (part) spoiled.set(part, [...(spoiled.get(part) ?? []), id]);
  }
  return spoiled;
}

export function judgeSettings(decided: Given<Decided>): Finding[] {
  return run<Decided>(settingsRules, decided);
}

/** Without an API server every other rule would report the same failure. */
export function judgeCluster(subject: Given<Subject>, spoiled?: Spoiled): Finding[] {
  return run<Subject>(subject.facts.server.known ? clusterRules : [reachable], subject, spoiled);
}

/** Rules that concern the stack are unknown where the cluster is not asked. */
export function judgeUnaskedCluster(subject: Given<Subject>, spoiled?: Spoiled): Finding[] {
  const { server } = subject.facts;
  return clusterRules.flatMap((rule) => {
    if (rule.id !== reachable.id) return run<Subject>([rule], subject, spoiled);
    return server.known ? [] : [findingOf(rule, notRead(server.reason))];
  });
}

/** Without a daemon every other rule would report the same failure. */
export function judgeHost(subject: Given<DockerSubject>, spoiled?: Spoiled): Finding[] {
  const rules = subject.facts.server.known ? dockerRules : [daemonReachable];
  return run<DockerSubject>(rules, subject, spoiled);
}

export function judgeUnaskedHost(): Finding[] {
  return dockerRules.map((rule) => findingOf(rule, notRead("the Docker host was not asked")));
}
