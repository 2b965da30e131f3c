"""What the attempts of an egress proof show together. Pure.

A denial counts only if the same pod reached the proxy in the same run; what could not be tried, or
ended in an error of its own, shows nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes import CLOSED, Outcome

PROVEN, LEAKS, UNKNOWN = "proven", "leaks", "unknown"
DENIED, ACCEPTED = "denied", "accepted"
"""Further verdicts about one target."""
START, STEADY, KEPT = "start", "steady", "kept"


@dataclass(frozen=True)
class Network:
    """What to look at where the sandboxes are, by what leaks."""

    one_filter: bool
    """Whether a single filter denies what the pod's own policy does. On a Docker host that is the
    firewall; the network has no way out by itself, so that without it only the neighbours are open.
    A cluster's policies are enforced for each pod, and on both sides of a connection."""
    no_filter: str
    new_pods: str
    """Where it is not `one_filter`: the older pods' policies hold, and those of new pods do not."""
    own_node: str
    other: str
    only_ipv6: str
    no_proxy: str


NETWORKS = {
    "kubernetes": Network(
        one_filter=False,
        no_filter="the network plugin does not enforce NetworkPolicy at all (flannel alone does "
        "not), or does not run on this node",
        new_pods="no policy holds for new pods, while older ones are still protected: the network "
        "plugin no longer runs on this node, or is far behind (kubectl get pods -A -o wide); if "
        "it runs, the policies of this namespace are gone, or another one opens it both ways "
        "(kubectl get networkpolicies -A)",
        own_node="the network plugin exempts the pod's own node (kube-router: ICMP and "
        "30000-32767), or another policy allows what the node's addresses lead to",
        other="another policy allows it, in this namespace or cluster-wide, or the network plugin "
        "does not filter this kind of traffic",
        only_ipv6="only IPv6 gets through: the network plugin does not filter it",
        no_proxy="check the policy sandboxes-to-proxy and the pods that it names",
    ),
    "docker": Network(
        one_filter=True,
        no_filter="the firewall of the sandbox network is not in force: see the log of the "
        "stack's container sandbox-firewall",
        new_pods="",
        own_node="the host has an address on the bridge of the sandbox network (docker network "
        "inspect shows it; the option inhibit_ipv4 leaves it out), or routes for it",
        other="a container of another network is attached to the sandbox network, or the other "
        "way round, or somebody routes between them",
        only_ipv6="only IPv6 gets through: the sandbox network has it (docker network inspect), "
        "and must not",
        no_proxy="check that the stack's container proof-door runs, and that the firewall lets "
        "its port through: see the log of sandbox-firewall",
    ),
}


@dataclass(frozen=True)
class Target:
    """Somebody whom a sandbox must not reach."""

    name: str
    kind: str
    addresses: Sequence[str]
    ports: Sequence[int] = ()
    listens: bool = False
    """Whether somebody is known to listen, so that a closed port is the word of a filter, and tells
    how this network denies."""
    early: bool = False
    """Whether it is probed from the first moment on."""
    calibrates: bool = False
    """Only the pod's own policy denies it."""
    own_node: bool = False

    @property
    def is_peer(self) -> bool:
        """Whether it is another new pod alone, under the same policies as the one that probes."""
        return self.addresses == ["$PEERS"]


@dataclass(frozen=True)
class Attempt:
    target: Target
    address: str
    port: int
    phase: str
    outcome: Outcome
    seconds: float = 0.0
    """When, counted from the pod's first moment."""


@dataclass
class Shown:
    """The verdict about one target."""

    verdict: str = DENIED
    reasons: Counter[str] = field(default_factory=Counter)
    leaks: list[dict[str, Any]] = field(default_factory=list)
    why_unknown: str = ""


def judge(
    attempts: Iterable[Attempt],
    *,
    answered: Sequence[bool],
    missing: Mapping[str, str],
    accepted: Mapping[str, str],
    network: Network = NETWORKS["kubernetes"],
) -> dict[str, Any]:
    """`answered`: whether the proxy answered, each time. `missing`: targets that could not be tried,
    and why. `accepted`: targets that may be reached, and why the site accepts that."""
    attempts = list(attempts)
    styles = {
        traffic(attempt)
        for attempt in attempts
        if attempt.target.listens and attempt.outcome.reason == CLOSED
    }
    shown: dict[str, Shown] = {}
    for attempt in attempts:
        _add(shown.setdefault(attempt.target.name, Shown()), attempt, styles)
    for name, reason in missing.items():
        shown[name] = Shown(UNKNOWN, why_unknown=reason)
    leaking = [name for name, one in shown.items() if one.leaks]
    refused = [name for name in leaking if name not in accepted]
    doubtful = [name for name, one in shown.items() if one.verdict == UNKNOWN]
    proxy = bool(answered) and all(answered)
    if refused:
        verdict = LEAKS
    elif not proxy or doubtful or not shown:
        verdict = UNKNOWN
    else:
        verdict = PROVEN
    return {
        "verdict": verdict,
        "proxy": "reached" if proxy else "not reached",
        "leaks": refused,
        "accepted": {name: accepted[name] for name in leaking if name in accepted},
        "unknown": doubtful,
        "cause": _cause(attempts, shown, refused, network, proxy) if refused else "",
        "targets": {
            name: {
                "verdict": ACCEPTED if one.leaks and name in accepted else one.verdict,
                "reasons": dict(one.reasons),
                **({"leaks": one.leaks[:8]} if one.leaks else {}),
                **({"why": one.why_unknown} if one.why_unknown else {}),
            }
            for name, one in shown.items()
        },
    }


def traffic(attempt: Attempt) -> tuple[str, bool]:
    """Transport, and whether it is IPv6: a network may deny each in its own way, or not at all."""
    return attempt.target.kind.removeprefix("dns-"), ":" in attempt.address


def _add(shown: Shown, attempt: Attempt, styles: set[tuple[str, bool]]) -> None:
    reason, detail = attempt.outcome
    shown.reasons[reason] += 1
    leak = attempt.outcome.reached
    target = attempt.target
    if reason == CLOSED and not target.listens and traffic(attempt) not in styles:
        # This network denies in another way, so it was the host itself that said so.
        leak, detail = True, "a host answered that the port is closed: the packet got there"
    if leak:
        shown.verdict = LEAKS
        where = {"address": attempt.address, "port": attempt.port, "phase": attempt.phase}
        if not any(where.items() <= known.items() for known in shown.leaks):
            at = round(attempt.seconds, 2)
            shown.leaks.append({**where, "at": at, **({"detail": detail} if detail else {})})
    elif not attempt.outcome.denied and shown.verdict == DENIED:
        shown.verdict = UNKNOWN
        shown.why_unknown = f"{attempt.address}: {reason}: {detail}"


def _cause(
    attempts: list[Attempt],
    shown: Mapping[str, Shown],
    refused: list[str],
    network: Network,
    proxy: bool,
) -> str:
    """The likely cause, by which targets leak and when."""
    leaks = [leak for name in refused for leak in shown[name].leaks]
    phases = {leak["phase"] for leak in leaks}
    # What the site accepts is no reason to refuse, but tells as much of the network as the others.
    reached = {
        name
        for name, one in shown.items()
        if any(leak["phase"] == STEADY for leak in one.leaks)
    }
    steady = reached & set(refused)
    causes = []
    if all(":" in leak["address"] for leak in leaks):
        causes.append(network.only_ipv6)
    elif steady:
        targets = {attempt.target.name: attempt.target for attempt in attempts}.values()
        causes.append(_steady_cause(targets, reached, steady, network, proxy))
    if not steady and START in phases:
        last = max(leak["at"] for leak in leaks if leak["phase"] == START)
        causes.append(
            f"late enforcement: the pod was open until {last:.1f} s after its start; "
            "an entry gate holds its programs back until then"
        )
    if KEPT in phases and not steady:
        causes.append("established connections are not cut when the filter comes")
    return "; ".join(causes)


def _steady_cause(
    targets: Iterable[Target],
    reached: set[str],
    steady: set[str],
    network: Network,
    proxy: bool,
) -> str:
    """Why targets are reached for good. Only those that listen tell: others may be gone, or have
    no way to them. `proxy`: whether the proxy was reached, which admits every sandbox."""
    targets = list(targets)

    def named(kind: str) -> set[str]:
        return {target.name for target in targets if getattr(target, kind)}

    # The canary admits everybody: the pod's own policy does not hold.
    if reached & named("calibrates"):
        if network.one_filter or named("listens") <= reached:
            return network.no_filter
        # Not even the other side of a pod as new as this one denies.
        peers = named("is_peer")
        if peers and peers <= reached:
            return network.new_pods
    # The rules of older pods do not know this one, so that not even the proxy admits it.
    if not network.one_filter and not proxy and reached & named("listens"):
        return network.new_pods
    return network.own_node if steady <= named("own_node") else network.other
