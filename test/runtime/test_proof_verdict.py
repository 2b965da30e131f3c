"""The verdict of the egress proof: pure, from attempts that are made up."""

from __future__ import annotations

from typing import Any

import pytest
from egress_probe import sentence
from probes import CLOSED, ERROR, REACHED, TIMED_OUT, Outcome
from proof_verdict import NETWORKS, START, STEADY, Attempt, Target, judge

CANARY = Target("canary", "tcp", ["10.0.0.1"], [8999], listens=True, calibrates=True)
OTHER = Target("other", "tcp", ["10.0.0.2"], [80])
DATAGRAM = Target("datagram", "udp", ["10.0.0.3"], [80])
RAY = Target("Ray", "tcp", ["10.0.0.4"], [6379], listens=True)
PEER = Target("another sandbox", "tcp", ["$PEERS"], [8997], listens=True)
NODE = Target("own node: ports", "tcp", ["10.0.0.6"], [30000], own_node=True)
INTERNET = [Target(f"internet {n}", "tcp", [f"192.0.2.{n}"], [80]) for n in range(9)]

NO_FILTER = "does not enforce NetworkPolicy at all"
NEW_PODS = "no policy holds for new pods"
ANOTHER_POLICY = "another policy allows it"
OWN_NODE = "exempts the pod's own node"


def attempt(target: Target, reason: str, phase: str = STEADY) -> Attempt:
    return Attempt(target, target.addresses[0], target.ports[0], phase, Outcome(reason))


def verdict(
    *attempts: Attempt, answered: tuple[bool, ...] = (True, True), **more: Any
) -> dict[str, Any]:
    return judge(attempts, answered=answered, **{"missing": {}, "accepted": {}, **more})


@pytest.mark.parametrize(
    ("canary", "other", "expected"),
    [
        (TIMED_OUT, TIMED_OUT, "proven"),
        # This network is silent, so it was a host that spoke.
        (TIMED_OUT, CLOSED, "leaks"),
        (CLOSED, CLOSED, "proven"),
        (TIMED_OUT, REACHED, "leaks"),
        (TIMED_OUT, ERROR, "unknown"),
        # What leaks is said, even where something else is not known.
        (ERROR, REACHED, "leaks"),
    ],
)
def test_of_two_targets(canary: str, other: str, expected: str) -> None:
    found = verdict(attempt(CANARY, canary), attempt(OTHER, other))
    assert found["verdict"] == expected


def test_how_tcp_is_denied_tells_nothing_of_udp() -> None:
    found = verdict(attempt(CANARY, CLOSED), attempt(DATAGRAM, CLOSED))
    assert found["leaks"] == ["datagram"]


def test_an_open_canary_does_not_hide_how_the_network_denies() -> None:
    """Another listener, which stays denied, tells it as well."""
    open_canary = Target("canary by UDP", "udp", ["10.0.0.1"], [8999], listens=True, calibrates=True)
    peer = Target("another sandbox by UDP", "udp", ["$PEERS"], [8997], listens=True)
    attempts = [attempt(open_canary, REACHED), attempt(peer, CLOSED), attempt(DATAGRAM, CLOSED)]
    assert verdict(*attempts)["leaks"] == ["canary by UDP"]


def test_how_ipv4_is_denied_tells_nothing_of_ipv6() -> None:
    """Where only IPv4 is filtered, and the canary has no other address."""
    six = Target("six", "tcp", ["2001:db8::1"], [80])
    found = verdict(attempt(CANARY, CLOSED), attempt(OTHER, CLOSED), attempt(six, CLOSED))
    assert found["leaks"] == ["six"]


def test_a_listener_that_is_known_does_not_close_its_port() -> None:
    assert verdict(attempt(CANARY, CLOSED))["verdict"] == "proven"


@pytest.mark.parametrize("answered", [(), (False, True), (True, False)])
def test_denials_count_only_beside_the_proxy(answered: tuple[bool, ...]) -> None:
    found = verdict(attempt(CANARY, TIMED_OUT), answered=answered)
    assert (found["verdict"], found["proxy"]) == ("unknown", "not reached")


def test_nothing_tried_shows_nothing() -> None:
    assert verdict()["verdict"] == "unknown"
    found = verdict(attempt(CANARY, TIMED_OUT), missing={"other": "no address"})
    assert (found["verdict"], found["unknown"]) == ("unknown", ["other"])


def test_an_accepted_hole_is_shown_and_no_other_is() -> None:
    reached = [attempt(CANARY, TIMED_OUT), attempt(OTHER, REACHED), attempt(DATAGRAM, REACHED)]
    found = verdict(*reached, accepted={"other": "known"})
    assert (found["verdict"], found["leaks"]) == ("leaks", ["datagram"])
    found = verdict(*reached[:2], accepted={"other": "known", "unused": "never"})
    assert (found["verdict"], found["accepted"]) == ("proven", {"other": "known"})


def test_only_what_was_denied_counts_as_denied() -> None:
    """A target that the site accepts, and that was reached, is none of them."""
    accepted = {"own node: ports": "known"}
    denied = [attempt(one, TIMED_OUT) for one in (CANARY, OTHER)]
    found = verdict(*denied, attempt(NODE, REACHED), accepted=accepted)
    assert sentence(found, NETWORKS["kubernetes"]) == (
        "proven: reached the proxy and was denied 2 targets; "
        "reached, and accepted by the site: own node: ports"
    )
    assert {name: one["verdict"] for name, one in found["targets"].items()} == {
        "canary": "denied",
        "other": "denied",
        "own node: ports": "accepted",
    }
    # Where the network denies it after all, it is one more.
    found = verdict(*denied, attempt(NODE, TIMED_OUT), accepted=accepted)
    assert sentence(found, NETWORKS["kubernetes"]) == (
        "proven: reached the proxy and was denied 3 targets"
    )


def reached_of(*reached: Target) -> list[Attempt]:
    """Everything is tried; what is not reached is denied. Nobody has a way to the internet."""
    return [
        attempt(target, REACHED if target in reached else TIMED_OUT)
        for target in (CANARY, OTHER, RAY, PEER, NODE, *INTERNET)
    ]


@pytest.mark.parametrize(
    ("reached", "cause"),
    [
        ((CANARY, OTHER, RAY, PEER, NODE), NO_FILTER),
        # Whoever may not be there, or have no way, tells nothing.
        ((CANARY, RAY, PEER), NO_FILTER),
        # The plugin was stopped: Ray's pod still has its rules, and the new ones have none.
        ((CANARY, PEER), NEW_PODS),
        ((CANARY, OTHER, PEER, NODE, *INTERNET), NEW_PODS),
        # Another new pod is protected, so that the plugin works: somebody has opened the way out.
        ((CANARY,), ANOTHER_POLICY),
        ((CANARY, OTHER, NODE, *INTERNET), ANOTHER_POLICY),
        ((RAY,), ANOTHER_POLICY),
        ((PEER,), ANOTHER_POLICY),
        ((OTHER, *INTERNET), ANOTHER_POLICY),
        ((NODE,), OWN_NODE),
        ((NODE, OTHER), ANOTHER_POLICY),
    ],
)
def test_blames_what_explains_the_leaks(reached: tuple[Target, ...], cause: str) -> None:
    causes = (NO_FILTER, NEW_PODS, ANOTHER_POLICY, OWN_NODE)
    found = verdict(*reached_of(*reached))["cause"]
    assert [one for one in causes if one in found] == [cause], found


def test_without_the_other_pod_it_blames_no_plugin() -> None:
    """Whether a new pod is protected, only that one could show."""
    attempts = [one for one in reached_of(CANARY) if one.target != PEER]
    found = verdict(*attempts, missing={PEER.name: "no address"})
    assert ANOTHER_POLICY in found["cause"]


def test_a_proxy_that_admits_no_new_pod_tells_that_the_plugin_was_stopped() -> None:
    """The rules that it made for the listeners stay, and know no pod that came later."""
    api = Target("API server", "tcp", ["10.0.0.7"], [443], listens=True)
    attempts = [*reached_of(OTHER, NODE), attempt(api, REACHED)]
    assert NEW_PODS in verdict(*attempts, answered=(False, False))["cause"]
    assert ANOTHER_POLICY in verdict(*attempts)["cause"]
    # What listens may have a policy of its own, and be open by that alone.
    assert ANOTHER_POLICY in verdict(*reached_of(OTHER), answered=(False, False))["cause"]


def test_what_the_site_accepts_is_evidence_and_no_cause() -> None:
    accepted = {NODE.name: "known", PEER.name: "known"}
    # Reached by right: that it is open does not make it denied.
    found = verdict(*reached_of(CANARY, RAY, PEER, NODE), accepted=accepted)
    assert NO_FILTER in found["cause"]
    assert NEW_PODS in verdict(*reached_of(CANARY, PEER), accepted=accepted)["cause"]
    # An accepted one that stays open does not hide that the others closed late.
    late = [attempt(OTHER, REACHED, START), attempt(OTHER, TIMED_OUT), attempt(NODE, REACHED)]
    found = verdict(*late, accepted=accepted)
    assert found["leaks"] == ["other"]
    assert found["cause"].startswith("late enforcement")


def test_on_a_docker_host_the_firewall_is_all_that_denies() -> None:
    """The network has no way out by itself: without the firewall only neighbours are reached."""
    network = NETWORKS["docker"]
    found = verdict(*reached_of(CANARY), network=network)
    assert found["cause"] == network.no_filter
    assert verdict(*reached_of(RAY), network=network)["cause"] == network.other
