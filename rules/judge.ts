/** Runs the checks of all rules of a kind. */
import { hostOf } from "../plan/host.ts";
import { reachable } from "./cluster/cluster.ts";
import { daemonReachable } from "./docker/daemon.ts";
import { type Finding, findingOf } from "./finding.ts";
import { clusterRules, dockerRules, type RuleEntry, settingsRules } from "./index.ts";
import { type Check, type Decided, type DockerSubject, notRead, type Subject } from "./rule.ts";

type Checked<S> = RuleEntry & { readonly check: Check<S> };

/** What callers give; the host follows from the settings. */
type Given<S> = Omit<S, "host"> & Pick<Decided, "settings">;

function run<S extends Decided>(rules: readonly Checked<S>[], given: Given<S>): Finding[] {
  const subject = { ...given, host: hostOf(given.settings.site) } as unknown as S;
  return rules.flatMap((rule) =>
    Array.from(rule.check(subject), (verdict) => findingOf(rule, verdict)),
  );
}

export function judgeSettings(decided: Given<Decided>): Finding[] {
  return run<Decided>(settingsRules, decided);
}

/** Without an API server every other rule would report the same failure. */
export function judgeCluster(subject: Given<Subject>): Finding[] {
  return run<Subject>(subject.facts.server.known ? clusterRules : [reachable], subject);
}

/** Rules that concern the stack are unknown where the cluster is not asked. */
export function judgeUnaskedCluster(subject: Given<Subject>): Finding[] {
  const { server } = subject.facts;
  return clusterRules.flatMap((rule) => {
    if (rule.id !== reachable.id) return run<Subject>([rule], subject);
    return server.known ? [] : [findingOf(rule, notRead(server.reason))];
  });
}

/** Without a daemon every other rule would report the same failure. */
export function judgeHost(subject: Given<DockerSubject>): Finding[] {
  return run<DockerSubject>(subject.facts.server.known ? dockerRules : [daemonReachable], subject);
}

export function judgeUnaskedHost(): Finding[] {
  return dockerRules.map((rule) => findingOf(rule, notRead("the Docker host was not asked")));
}
