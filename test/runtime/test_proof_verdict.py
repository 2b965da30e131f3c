"""The verdict of the egress proof: pure, from attempts that are made up."""

from __future__ import annotations

from typing import Any

import pytest
from probes import CLOSED, ERROR, REACHED, TIMED_OUT, Outcome
from proof_verdict import STEADY, Attempt, Target, judge

CANARY = Target("canary", "tcp", ["10.0.0.1"], [8999], listens=True, calibrates=True)
OTHER = Target("other", "tcp", ["10.0.0.2"], [80])
DATAGRAM = Target("datagram", "udp", ["10.0.0.3"], [80])


def attempt(target: Target, reason: str) -> Attempt:
    return Attempt(target, target.addresses[0], target.ports[0], STEADY, Outcome(reason))


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
