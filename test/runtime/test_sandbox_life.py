"""Which sandboxes are to be reaped: the decisions alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ray_jobs import Job
from sandbox_life import (
    Limits,
    Owners,
    Sandbox,
    host_of,
    run_times,
    sandbox_of,
    why_reap,
)

NOW = 1_800_000_000.0
LIMITS = Limits(
    deadline=6000, longest_deadline=9000, startup=2400, grace=300, finished=1800, owner=180
)
NOBODY_KNOWS = Owners("ray-")
OWNED = Owners("ray-", {"ray-train-worker-1": NOW - 90_000}, NOW - 80_000)


def box(age: float, **more: Any) -> Sandbox:
    values: dict[str, Any] = {
        "name": "trial-1",
        "uid": "1",
        "labels": {"harbor-owner-host": "ray-train-worker-1"},
        "phase": "Running",
        "reason": "",
        "created": NOW - age,
        "started": NOW - age + 5,
        "ended": None,
        "deadline": 6000.0,
        "leaving": None,
    }
    return Sandbox(**{**values, **more})


@pytest.mark.parametrize(
    ("sandbox", "reason"),
    [
        (box(10), None),
        (box(6300), None),
        (box(6306), "past its deadline of 6000 s by 301 s"),
        # Validation: its own deadline counts.
        (box(9000, deadline=9000.0), None),
        (box(9306, deadline=9000.0), "past its deadline of 9000 s by 301 s"),
        # No pod may ask to live for ever.
        (box(9306, deadline=1e9), "past its deadline of 9000 s by 301 s"),
        (box(6300, deadline=None), None),
        (box(6306, deadline=None), "past its deadline of 6000 s by 301 s"),
        (box(6301, deadline=None, started=None), "past its deadline of 6000 s by 301 s"),
        (box(2700, phase="Pending", started=None), None),
        (box(2701, phase="Pending", started=None), "pending for 2701 s"),
        (box(2701, phase="Pending"), "pending for 2701 s"),
        (box(5000, phase="Succeeded", ended=NOW - 1800), None),
        (box(5000, phase="Succeeded", ended=NOW - 1801), "Succeeded for 1801 s"),
        (
            box(9999, phase="Failed", reason="DeadlineExceeded", ended=NOW - 1900),
            "Failed (DeadlineExceeded) for 1900 s, kept for 1800 s",
        ),
        (box(1806, phase="Unknown"), "Unknown for 1801 s"),
        # What is being deleted is left to whoever deletes it.
        (box(99_999, leaving=NOW - 9999), None),
    ],
)
def test_age(sandbox: Sandbox, reason: str | None) -> None:
    for owners in (NOBODY_KNOWS, OWNED):
        why = why_reap(sandbox, NOW, LIMITS, owners)
        assert (why is None) if reason is None else (why is not None and reason in why)


@pytest.mark.parametrize(
    ("sandbox", "owners", "reason"),
    [
        (box(1000), replace(OWNED, run_began=NOW - 939), "made 61 s before the run's present"),
        (box(1000), replace(OWNED, run_began=NOW - 941), None),
        (box(1000), replace(OWNED, run_began=None), None),
        (box(1000), replace(OWNED, run_began=None, run_ended=NOW - 181), "its run ended 181 s ago"),
        (box(1000), replace(OWNED, run_began=None, run_ended=NOW - 179), None),
        (box(1000), replace(OWNED, hosts={}), "its owner ray-train-worker-1 is gone"),
        (box(180), replace(OWNED, hosts={}), None),
        (box(1000), replace(OWNED, hosts=None), None),
        (
            box(1000),
            replace(OWNED, hosts={"ray-train-worker-1": NOW - 939}),
            "its owner ray-train-worker-1 has started again since",
        ),
        (box(1000), replace(OWNED, hosts={"ray-train-worker-1": NOW - 941}), None),
        # Not a pod of ours, or nobody's: others cannot be judged.
        (box(1000, labels={"harbor-owner-host": "laptop"}), replace(OWNED, hosts={}), None),
        (box(1000, labels={}), replace(OWNED, hosts={}), None),
        # What has ended needs no owner, and stays as long as it would have.
        (box(1000, phase="Failed", ended=NOW - 9), replace(OWNED, hosts={}), None),
    ],
)
def test_owner(sandbox: Sandbox, owners: Owners, reason: str | None) -> None:
    why = why_reap(sandbox, NOW, LIMITS, owners)
    assert (why is None) if reason is None else (why is not None and reason in why)


def test_reads_a_pod() -> None:
    assert sandbox_of(
        {
            "metadata": {
                "name": "trial-1",
                "uid": "u",
                "creationTimestamp": "2026-11-24T10:00:00Z",
                "labels": {"harbor-owner-host": "ray-head-1", "harbor-owner-pid": "77"},
            },
            "spec": {"activeDeadlineSeconds": 9000},
            "status": {
                "phase": "Failed",
                "reason": "DeadlineExceeded",
                "startTime": "2026-11-24T10:00:02Z",
                "containerStatuses": [
                    {"state": {"terminated": {"finishedAt": "2026-11-24T10:00:30Z"}}},
                    {"state": {"terminated": {"finishedAt": "2026-11-24T10:01:00Z"}}},
                ],
            },
        }
    ) == Sandbox(
        name="trial-1",
        uid="u",
        labels={"harbor-owner-host": "ray-head-1", "harbor-owner-pid": "77"},
        phase="Failed",
        reason="DeadlineExceeded",
        created=1795514400.0,
        started=1795514402.0,
        ended=1795514460.0,
        deadline=9000.0,
        leaving=None,
    )


def test_reads_a_pod_that_nobody_has_looked_at_yet() -> None:
    pod = {"metadata": {"name": "a", "uid": "u", "creationTimestamp": "2026-11-24T10:00:00Z"}}
    found = sandbox_of(pod)
    assert (found.phase, found.started, found.deadline) == ("Pending", None, None)
    assert found.owner == "?/?"


def test_host_is_as_old_as_its_oldest_container() -> None:
    running = [
        {"state": {"running": {"startedAt": f"2026-11-24T{hour}:00:00Z"}}} for hour in ("12", "10")
    ]
    pod = {
        "metadata": {"name": "r" * 80},
        "status": {"phase": "Running", "containerStatuses": running},
    }
    assert host_of(pod) == ("r" * 63, 1795514400.0)
    assert host_of({**pod, "status": {"phase": "Failed"}}) is None
    assert host_of({**pod, "status": {}}) == ("r" * 63, 0.0)


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], (None, None)),
        ([Job("a", "RUNNING", started=5)], (5, None)),
        ([Job("a", "FAILED", started=1, ended=4), Job("b", "RUNNING", started=5)], (5, None)),
        # Of two that run, either may own a sandbox.
        ([Job("a", "RUNNING", started=3), Job("b", "PENDING", started=5)], (3, None)),
        ([Job("a", "PENDING")], (None, None)),
        ([Job("a", "RUNNING", started=3), Job("b", "PENDING")], (None, None)),
        ([Job("a", "FAILED", ended=4), Job("b", "SUCCEEDED", ended=9)], (None, 9)),
        ([Job("a", "FAILED", ended=4), Job("b", "FAILED")], (None, None)),
    ],
)
def test_run(jobs: list[Job], expected: tuple[float | None, float | None]) -> None:
    assert run_times(jobs) == expected
