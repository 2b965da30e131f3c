"""What the entry gate says of the time in which the pod was open: pure, from made-up canaries."""

from __future__ import annotations

from typing import Any

import entry_gate
import pytest


def said(age: float | None, *, first: float | None, last: float | None = None) -> dict[str, Any]:
    """Of a canary that was probed from `first` on, and reached until `last`."""
    canary = entry_gate.Canary(("10.0.0.1", 8999), ("10.0.0.1", 8002))
    if first is not None:
        canary.first = entry_gate.begun + first
    if last is not None:
        canary.reached, canary.reached_last = 9, entry_gate.begun + last
    report: dict[str, Any] = canary.report(age)
    return report


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            said(1.5, first=0.25, last=0.94),
            {
                "reached": 9,
                "unseen_seconds": 1.75,
                "open_seconds": 0.94,
                "open": "until 0.94 s after the gate's start; "
                "not seen: the pod's first 1.75 s, before the first probe",
            },
        ),
        # Already denied when the gate first asked: that does not say that the pod was never open.
        (
            said(1.5, first=0.25),
            {
                "reached": 0,
                "unseen_seconds": 1.75,
                "open": "never while it was probed; "
                "not seen: the pod's first 1.75 s, before the first probe",
            },
        ),
        (
            said(None, first=0.25),
            {
                "reached": 0,
                "open": "never while it was probed; "
                "not seen: the pod's time before the first probe, 0.25 s after the gate's start",
            },
        ),
        (
            said(1.5, first=None),
            {"reached": 0, "open": "not seen: nothing is probed before the control answers"},
        ),
    ],
)
def test_says_what_was_seen_and_what_not(case: dict[str, Any], expected: dict[str, Any]) -> None:
    assert case == expected
