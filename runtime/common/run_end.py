"""Whether a run has come to its end, as Ray's job API shows it. Standard library only.

A run is submitted as `<namespace>-<attempt>`, where `namespace` is `<stack>-<fingerprint>`. Ray does not
know whether another attempt will follow one that has failed. So the submitter leaves a mark when
there will be none: a submission of its own, which ends at once and says why.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from ray_jobs import Job, JobExists, NoSuchJob, RayJobs

LAST_LINES = 15
"""Of a failed run's output that are shown."""

LONGEST_REASON = 500
"""Characters."""


@dataclass(frozen=True)
class End:
    """How a run has ended."""

    succeeded: bool
    why: str
    """What happened, and the last lines of a run that has failed."""


def mark_of(namespace: str) -> str:
    """Id of the submission that says that no attempt will follow."""
    return f"{namespace}-given-up"


def leave_mark(jobs: RayJobs, namespace: str, reason: str) -> None:
    """Raises RayJobsError."""
    with suppress(JobExists):
        jobs.submit(mark_of(namespace), "true", {"reason": reason[:LONGEST_REASON]})


def remove_mark(jobs: RayJobs, namespace: str) -> None:
    """Raises RayJobsError."""
    with suppress(NoSuchJob):
        jobs.delete(mark_of(namespace))


def end_of(jobs: RayJobs, namespace: str) -> End | None:
    """None while the run goes on, or has not begun. Raises RayJobsError."""
    attempts: list[tuple[int, Job]] = []
    mark: Job | None = None
    for job in jobs.submissions():
        if found := re.fullmatch(rf"{re.escape(namespace)}-(\d+)", job.submission_id):
            attempts.append((int(found[1]), job))
        elif job.submission_id == mark_of(namespace):
            mark = job
    if not attempts:
        return None
    _, newest = max(attempts, key=lambda pair: pair[0])
    if newest.status == "SUCCEEDED":
        return End(True, f"{newest.submission_id} has succeeded")
    if mark is None or not newest.is_over:
        return None
    lines = jobs.logs(newest.submission_id).splitlines()[-LAST_LINES:]
    reason = mark.metadata.get("reason", f"{newest.submission_id} has failed")
    return End(False, "\n".join([f"the run is given up: {reason}", *lines]))
