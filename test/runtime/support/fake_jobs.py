"""Ray's job API as submit_run.py sees it, without Ray: for what a real one does too rarely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import ray_jobs
from ray_jobs import Job


class FakeJobs(ray_jobs.RayJobs):
    """Submissions end as the test says, one look after they were submitted."""

    def __init__(
        self,
        ends: Callable[[Job], Job],
        *,
        step: Callable[[Job], int] = lambda _: 0,
        gpus: Callable[[], int] = lambda: 0,
    ) -> None:
        """`step`: the last one that a submission trains, 0 for none. `gpus`: what Ray has of them."""
        super().__init__("http://fake", "token")
        self.known: dict[str, Job] = {}
        self.stopped: list[str] = []
        self.clock = 0.0
        self._ends = ends
        self._step = step
        self._gpus = gpus

    def submissions(self) -> list[Job]:
        return list(self.known.values())

    def submit(
        self, submission_id: str, entrypoint: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        if submission_id in self.known:
            raise ray_jobs.JobExists(submission_id)
        self.known[submission_id] = Job(
            submission_id,
            "RUNNING",
            started=self.clock,
            metadata=metadata or {},
            agent="http://agent",
        )

    def get(self, submission_id: str) -> Job:
        job = self.known.get(submission_id)
        if job is None:
            raise ray_jobs.NoSuchJob(submission_id)
        if not job.is_over:
            job = self._ends(job)
            self.clock = job.ended or self.clock
            self.known[submission_id] = job
        return job

    def stop(self, submission_id: str) -> None:
        self.stopped.append(submission_id)
        self.known[submission_id] = replace(self.known[submission_id], status="STOPPED")

    def delete(self, submission_id: str) -> None:
        if submission_id not in self.known:
            raise ray_jobs.NoSuchJob(submission_id)
        del self.known[submission_id]

    @property
    def attempts(self) -> list[str]:
        """Without the marks of runs that were given up."""
        return [submission_id for submission_id in self.known if submission_id[-1].isdigit()]

    def gpus(self) -> int:
        return self._gpus()

    def logs(self, submission_id: str) -> str:
        last = self._step(self.known[submission_id])
        trained = f"(TaskRunner pid=7) step:{last} - actor/loss:0.5\n" if last else ""
        return f"{trained}output of {submission_id}\n"

    def read_output(self, job: Job, start: int, length: int) -> bytes:
        return self.logs(job.submission_id).encode()[start : start + length]

    def output_size(self, job: Job) -> int:
        return len(self.logs(job.submission_id))


def ends_with(status: str, after: float, exit_code: int = 0) -> Callable[[Job], Job]:
    """Every submission ends alike, so many seconds after its start."""

    def end(job: Job) -> Job:
        return replace(job, status=status, ended=(job.started or 0) + after, exit_code=exit_code)

    return end
