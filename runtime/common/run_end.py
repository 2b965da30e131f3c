"""Where a run stands, and whether it has come to its end, as Ray's job API shows it.

A run is submitted as `<namespace>-<attempt>`, where `namespace` is `<stack>-<fingerprint>`. Ray does
not know whether another attempt will follow one that is over. So the submitter leaves a mark when
there will be none: a submission of its own, which ends at once and whose metadata says why. It is
about one attempt, so that it means nothing once there is a newer one. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from last_lines import fitting
from ray_jobs import TRANSIENT, Job, JobExists, RayJobs, RayJobsError

LONGEST_REASON = 400
"""Characters."""


@dataclass(frozen=True)
class End:
    """How a run has ended."""

    succeeded: bool
    why: str
    """What happened, and the last lines of a run that has failed."""


@dataclass(frozen=True)
class RunState:
    """Where a run stands."""

    words: str
    """For somebody who waits for it."""
    end: End | None
    """None while the run goes on, may be started again, or has not begun."""


def mark_of(namespace: str, attempt: int) -> str:
    """Id of the submission that says that no attempt will follow this one."""
    return f"{namespace}-{attempt}-given-up"


def leave_mark(
    jobs: RayJobs, namespace: str, attempt: int, reason: str, lines: Sequence[str] = ()
) -> None:
    """`lines`: the end of the run's output. Raises RayJobsError."""
    about = {"reason": reason[:LONGEST_REASON], "lines": "\n".join(fitting(lines))}
    with suppress(JobExists):
        jobs.submit(mark_of(namespace, attempt), "true", about)


def remove_marks(jobs: RayJobs, namespace: str) -> None:
    """Those that an earlier submitter has left: this one may start the run again. Raises RayJobsError."""
    mark = re.compile(rf"{re.escape(namespace)}-\d+-given-up")
    for job in jobs.submissions():
        if mark.fullmatch(job.submission_id):
            try:
                jobs.delete(job.submission_id)
            except TRANSIENT:
                raise
            except RayJobsError:
                # Gone already, or so new that it has not ended: then it counts until the next attempt.
                continue


def state_of(jobs: RayJobs, namespace: str) -> RunState:
    """Raises RayJobsError."""
    known = {job.submission_id: job for job in jobs.submissions()}
    attempt = re.compile(rf"{re.escape(namespace)}-(\d+)")
    attempts = [int(found[1]) for found in map(attempt.fullmatch, known) if found]
    if not attempts:
        return RunState("not submitted yet", None)
    newest = max(attempts)
    job, mark = known[f"{namespace}-{newest}"], known.get(mark_of(namespace, newest))
    if job.status == "SUCCEEDED":
        words = f"{job.submission_id} has succeeded"
        return RunState(words, End(True, words))
    if mark is not None and job.is_over:
        return RunState("given up", End(False, _why(mark)))
    return RunState(_words(job), None)


def _words(job: Job) -> str:
    match job.status:
        case "FAILED":
            return f"{job.submission_id} has failed, and is to be started again"
        case "STOPPED":
            return f"{job.submission_id} was stopped, and is not started again yet"
        case "PENDING":
            return f"{job.submission_id} is submitted"
        case _:
            return f"{job.submission_id} runs"


def _why(mark: Job) -> str:
    reason, lines = (mark.metadata.get(key, "") for key in ("reason", "lines"))
    end = f". Its last lines:\n{lines}" if lines else ""
    return f"the run is given up: {reason}{end}"
