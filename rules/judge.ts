/** Runs the checks of all rules of a kind. */
import { reachable } from "./cluster/cluster.ts";
import { daemonReachable } from "./docker/daemon.ts";
import { type Finding, findingOf } from "./finding.ts";
import { clusterRules, dockerRules, type RuleEntry, settingsRules } from "./index.ts";
import { type Check, type Decided, type DockerSubject, notRead, type Subject } from "./rule.ts";

type Checked<S> = RuleEntry & { readonly check: Check<S> };

function run<S>(rules: readonly Checked<S>[], subject: S): Finding[] {
  return rules.flatMap((rule) =>
    Array.from(rule.check(subject), (verdict) => findingOf(rule, verdict)),
  );
}

export function judgeSettings(decided: Decided): Finding[] {
  return run(settingsRules, decided);
}

/** Without an API server every other rule would only repeat that there is none. */
export function judgeCluster(subject: Subject): Finding[] {
  return run(subject.facts.server.known ? clusterRules : [reachable], subject);
}

/** Rules that concern the stack are unknown where the cluster is not asked. */
export function judgeUnaskedCluster(subject: Subject): Finding[] {
  const { server } = subject.facts;
  return clusterRules.flatMap((rule) => {
    if (rule.id !== reachable.id) return run([rule], subject);
    return server.known ? [] : [findingOf(rule, notRead(server.reason))];
  });
}

/** Without a daemon every other rule would only repeat that there is none. */
export function judgeHost(subject: DockerSubject): Finding[] {
  return run(subject.facts.server.known ? dockerRules : [daemonReachable], subject);
}

export function judgeUnaskedHost(): Finding[] {
  return dockerRules.map((rule) => findingOf(rule, notRead("the Docker host was not asked")));
}
