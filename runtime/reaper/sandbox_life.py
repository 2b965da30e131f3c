"""Which sandboxes have outlived their purpose, and why. Decisions only: nothing here acts.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubernetes_api import Pod
from ray_jobs import Job

OWNER_HOST = "harbor-owner-host"
OWNER_PID = "harbor-owner-pid"
STACK = "swe-rl.dev/stack"

OVER = ("Succeeded", "Failed", "Unknown")
"""Phases that a pod does not leave again by itself."""

CLOCK_SECONDS = 60.0
"""How far the clocks of two machines of a cluster may be apart."""


@dataclass(frozen=True)
class Sandbox:
    """A pod that Harbor made. Times are Unix times in seconds."""

    name: str
    uid: str
    labels: Mapping[str, str]
    phase: str
    reason: str
    created: float
    started: float | None
    ended: float | None
    deadline: float | None
    """The pod's own `activeDeadlineSeconds`: validation gives its pods a longer one."""
    leaving: float | None
    """When its deletion was asked for."""

    @property
    def owner(self) -> str:
        labels = self.labels
        return f"{labels.get(OWNER_HOST) or '?'}/{labels.get(OWNER_PID) or '?'}"


@dataclass(frozen=True)
class Limits:
    """Spans of time in seconds."""

    deadline: float
    """Of a pod that names none."""
    longest_deadline: float
    """No pod's own deadline counts beyond it."""
    startup: float
    """Nobody waits longer for a pod to start."""
    grace: float
    finished: float
    """How long a finished pod stays to be looked at."""
    owner: float
    """How long an owner must be gone."""


@dataclass(frozen=True)
class Owners:
    """Who can still want a sandbox. None: not known at the moment, so that nothing follows."""

    prefix: str
    """Names of Ray's pods begin with it; other owners are not ours to judge."""
    hosts: Mapping[str, float] | None = None
    """Ray's pods, and since when their process runs."""
    run_began: float | None = None
    """Start of the oldest submission that runs."""
    run_ended: float | None = None
    """End of the last submission, if none runs."""


def sandbox_of(pod: Pod) -> Sandbox:
    metadata, spec, status = (pod.get(part) or {} for part in ("metadata", "spec", "status"))
    deadline = spec.get("activeDeadlineSeconds")
    return Sandbox(
        name=metadata["name"],
        uid=metadata["uid"],
        labels=metadata.get("labels") or {},
        phase=status.get("phase") or "Pending",
        reason=status.get("reason") or "",
        created=_time(metadata["creationTimestamp"]),
        started=_optional(status.get("startTime")),
        ended=_end(status),
        deadline=None if deadline is None else float(deadline),
        leaving=_optional(metadata.get("deletionTimestamp")),
    )


def host_of(pod: Pod) -> tuple[str, float] | None:
    """Name of a Ray pod and the start of its process; None if it runs no more."""
    metadata, status = (pod.get(part) or {} for part in ("metadata", "status"))
    if status.get("phase") in ("Succeeded", "Failed"):
        return None
    states = [entry.get("state") or {} for entry in status.get("containerStatuses") or []]
    # The oldest: a helper container that starts again ends no owner.
    begins = [_time(state["running"]["startedAt"]) for state in states if state.get("running")]
    # A label value holds no more.
    return metadata["name"][:63], min(begins, default=0.0)


def run_times(submissions: Iterable[Job]) -> tuple[float | None, float | None]:
    """Since when a submission runs; else when the last one ended."""
    known = list(submissions)
    active = [job for job in known if not job.is_over]
    if active:
        begins = [job.started for job in active if job.started is not None]
        return (min(begins) if len(begins) == len(active) else None), None
    ends = [job.ended for job in known if job.ended is not None]
    return None, (max(ends) if ends and len(ends) == len(known) else None)


def why_reap(box: Sandbox, now: float, limits: Limits, owners: Owners) -> str | None:
    """The reason for which a sandbox has to go; None if it may stay."""
    if box.leaving is not None:
        return None
    if box.phase in OVER:
        since = now - (box.ended or box.started or box.created)
        if since <= limits.finished:
            return None
        state = f"{box.phase} ({box.reason})" if box.reason else box.phase
        return f"{state} for {since:.0f} s, kept for {limits.finished:.0f} s"
    return _ownerless(box, now, limits, owners) or _overdue(box, now, limits)


def _overdue(box: Sandbox, now: float, limits: Limits) -> str | None:
    if box.phase == "Pending":
        waited = now - box.created
        if waited <= limits.startup + limits.grace:
            return None
        return f"pending for {waited:.0f} s; nobody waits longer than {limits.startup:.0f} s"
    own = limits.deadline if box.deadline is None else box.deadline
    deadline = min(own, limits.longest_deadline)
    late = now - (box.started or box.created) - deadline
    if late <= limits.grace:
        return None
    return f"past its deadline of {deadline:.0f} s by {late:.0f} s"


def _ownerless(box: Sandbox, now: float, limits: Limits, owners: Owners) -> str | None:
    if now - box.created <= limits.owner:
        return None
    if owners.run_began is not None and box.created < owners.run_began - CLOCK_SECONDS:
        ahead = owners.run_began - box.created
        return f"made {ahead:.0f} s before the run's present attempt began"
    if owners.run_ended is not None and now - owners.run_ended > limits.owner:
        return f"its run ended {now - owners.run_ended:.0f} s ago"
    host = box.labels.get(OWNER_HOST, "")
    if owners.hosts is None or not host.startswith(owners.prefix):
        return None
    begun = owners.hosts.get(host)
    if begun is None:
        return f"its owner {host} is gone"
    if box.created < begun - CLOCK_SECONDS:
        return f"its owner {host} has started again since"
    return None


def _end(status: Mapping[str, Any]) -> float | None:
    states = [entry.get("state") or {} for entry in status.get("containerStatuses") or []]
    ends = [(state.get("terminated") or {}).get("finishedAt") for state in states]
    changes = [entry.get("lastTransitionTime") for entry in status.get("conditions") or []]
    # Without ends of containers, the last change is when the pod was given up.
    known = [end for end in ends if end] or [change for change in changes if change]
    return max((_time(text) for text in known), default=None)


def _time(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _optional(text: str | None) -> float | None:
    return None if text is None else _time(text)
