"""Follows a training run: submits it to Ray, prints its output, starts it again when it fails.

The program of the trainer Job's pod. The run itself lives in Ray, on the head, so this pod may come
and go: a new one finds the submission by its id, `<stack>-<fingerprint>-<attempt>`, and goes on
following. Nothing is remembered here that Ray does not know. Standard library only.

Environment:
    RAY_JOBS_URL           Ray's job API
    RAY_AUTH_TOKEN         its token
    RUN_SPEC               JSON file: name, fingerprint, argv, workingDirectory, trainingLog,
                           vllmLog, gpus, maxRestarts
    LAUNCH_PROGRAM         path of launch_run.py on the head
    HEAD_TIMEOUT_SECONDS   how long the head may stay silent, at the start and later on
    RUN_OWNER              optional: identity of the Kubernetes Job. Failures under another owner do
                           not count, so that a Job that is made anew has all its restarts
    POLL_SECONDS           optional, 3: between two looks at the run
    RESTART_PAUSE_SECONDS  optional, 10: before the first restart; doubles with each, to 5 minutes
    EARLY_FAILURE_SECONDS  optional, 120: what fails sooner fails for a reason that stays

Exit codes (after 1, 6 and 143 a new pod may go on following):
    0    the run has succeeded
    1    an error in this program
    2    environment or RUN_SPEC cannot be used
    3    the run has failed for good
    4    Ray refuses the token
    5    somebody stopped the run, or another run has taken its place
    6    the head was silent for longer than HEAD_TIMEOUT_SECONDS
    143  SIGTERM: no longer following, and the run goes on

SIGTERM does not stop the run. From in here a drained node and a deleted Job look the same, and the
drain must not end a run of days. Where the run has to end, something else ends it: a changed run is
stopped by the submitter of its successor, and the run of a destroyed stack ends with its RayCluster.
The code is not 0, because that would complete the Job.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

import pod
import ray_jobs
import run_end
from pod import BadInput, GiveUp, Progress, say
from ray_jobs import TRANSIENT, Job, JobExists, NoSuchJob, RayJobs, RayJobsError, TokenRefused


class Exit(IntEnum):
    SUCCEEDED = 0
    BAD_INPUT = pod.BAD_INPUT
    RUN_FAILED = 3
    TOKEN_REFUSED = 4
    STOPPED = 5
    HEAD_SILENT = 6


LONGEST_PAUSE_SECONDS = 300.0
EARLY_FAILURES = 3
"""Early failures in a row after which another start is not worth its while."""

PIECE = 1 << 20
"""Bytes of output that are read at once."""

TAIL = 1 << 16
"""Bytes of earlier output that are shown when a running submission is joined."""

LAST_LINES = 30

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """What RUN_SPEC says."""

    name: str
    fingerprint: str
    argv: tuple[str, ...]
    working_directory: str
    training_log: str
    vllm_log: str
    max_restarts: int
    gpus: int = 0
    """That Ray must have before the command starts; 0: it waits for none."""

    @property
    def namespace(self) -> str:
        """Of the run's actors in Ray, and what its submissions begin with."""
        return f"{self.name}-{self.fingerprint}"

    def submission_id(self, attempt: int) -> str:
        return f"{self.namespace}-{attempt}"

    def split(self, submission_id: str) -> tuple[str, int]:
        """Fingerprint and attempt of a submission; an empty fingerprint if it is of no run."""
        match = re.fullmatch(rf"{re.escape(self.name)}-([0-9A-Za-z]+)-(\d+)", submission_id)
        return (match[1], int(match[2])) if match else ("", 0)

    def entrypoint(self, launch_program: str) -> str:
        # exec: what Ray watches and stops is then the launcher itself and not a shell around it.
        return "exec " + shlex.join(
            [
                *("python3", launch_program),
                *("--directory", self.working_directory),
                *("--log", self.training_log),
                *("--vllm-log", self.vllm_log),
                *("--gpus", str(self.gpus)),
                *("--", *self.argv),
            ]
        )


@dataclass(frozen=True)
class Limits:
    """Spans of time in seconds."""

    head: float
    poll: float
    pause: float
    early_failure: float


def read_run(path: str) -> Run:
    try:
        spec = json.loads(Path(path).read_text())
        argv, restarts, gpus = spec["argv"], spec["maxRestarts"], spec["gpus"]
        names = ("name", "fingerprint", "workingDirectory", "trainingLog", "vllmLog")
        texts = [spec[name] for name in names]
    except (OSError, ValueError) as error:
        raise BadInput(f"RUN_SPEC: {error}") from None
    except (KeyError, TypeError) as error:
        raise BadInput(f"RUN_SPEC {path} lacks {error}") from None
    if not all(isinstance(text, str) and text for text in texts):
        raise BadInput(f"RUN_SPEC {path}: {', '.join(names)} must be texts, and not empty")
    if not isinstance(argv, list) or not argv or not all(isinstance(text, str) for text in argv):
        raise BadInput(f"RUN_SPEC {path}: argv must be a list of texts, and not empty")
    for name, number in (("maxRestarts", restarts), ("gpus", gpus)):
        if not isinstance(number, int) or number < 0:
            raise BadInput(f"RUN_SPEC {path}: {name} must be a whole number of at least 0")
    name, fingerprint, directory, training_log, vllm_log = texts
    if not re.fullmatch(r"[0-9A-Za-z]+", fingerprint):
        raise BadInput(f"RUN_SPEC {path}: fingerprint must be letters and digits")
    return Run(name, fingerprint, tuple(argv), directory, training_log, vllm_log, restarts, gpus)


class Output:
    """Copies the output of one submission to standard output: each byte once, whole lines."""

    def __init__(self, jobs: RayJobs, submission_id: str, *, joined: bool) -> None:
        """`joined`: it was there before, and only the end of its earlier output is shown."""
        self._jobs = jobs
        self._id = submission_id
        self._position = -1 if joined else 0
        self._last = b""

    def copy(self, job: Job, *, to_end: bool = False) -> None:
        """Copies what is new; an unfinished last line only with `to_end`."""
        if self._position < 0:
            self._position = self._beginning_of_tail(job)
        while True:
            data = self._jobs.read_output(job, self._position, PIECE)
            full = len(data) == PIECE
            self._print(data if to_end or full else data[: data.rfind(b"\n") + 1])
            if not full:
                return

    def copy_rest_from_api(self) -> None:
        """Copies what is new, from Ray's head instead of the agent on the run's node."""
        whole = self._jobs.logs(self._id).encode()
        self._print(whole[self._position if self._position >= 0 else -TAIL :])

    def last_lines(self) -> list[str]:
        return self._last.decode(errors="replace").splitlines()[-LAST_LINES:]

    def _beginning_of_tail(self, job: Job) -> int:
        start = self._jobs.output_size(job) - TAIL
        if start <= 0:
            return 0
        return start + self._jobs.read_output(job, start, TAIL).find(b"\n") + 1

    def _print(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self._position += len(data)
        self._last = (self._last + data)[-TAIL:]


class Submitter:
    """Brings the run to its end, through restarts of the run, of the head and of itself."""

    def __init__(
        self, jobs: RayJobs, run: Run, *, launch_program: str, owner: str, limits: Limits
    ) -> None:
        self._jobs = jobs
        self._run = run
        self._entrypoint = run.entrypoint(launch_program)
        self._owner = owner
        self._limits = limits
        self._progress = Progress()
        self._highest = 0
        self._submitted = ""
        self._attended = False
        self._output: Output | None = None

    @property
    def newest(self) -> str | None:
        """Id of the newest submission that is known."""
        return self._run.submission_id(self._highest) if self._highest else None

    def follow(self) -> None:
        """Returns when the run has succeeded.

        Raises GiveUp, TokenRefused, or another RayJobsError that no waiting can cure.
        """
        attempts = self._clear_the_way()
        self._patiently(lambda: run_end.remove_mark(self._jobs, self._run.namespace))
        while True:
            latest = attempts[-1] if attempts else None
            if latest is None or latest.status == "STOPPED":
                # Never begun, forgotten by a restarted head, or stopped in favour of another run.
                self._submit()
            elif not latest.is_over:
                self._attend(latest.submission_id)
            elif latest.status == "SUCCEEDED":
                say(f"{latest.submission_id} has succeeded")
                return
            else:
                self._pause_or_give_up(attempts)
                self._look()
                self._submit()
            attempts = self._look()

    def _clear_the_way(self) -> list[Job]:
        """Ends what else runs of this stack; returns this run's submissions, the newest last."""
        asked: set[str] = set()
        began = time.monotonic()
        while True:
            attempts, others = self._sorted_submissions()
            others += [job for job in attempts[:-1] if not job.is_over]
            if not others:
                break
            if time.monotonic() - began > self._limits.head:
                raise GiveUp(Exit.HEAD_SILENT, f"Ray does not end {_ids(others)}")
            for job in others:
                if job.submission_id not in asked:
                    say(f"stopping {job.submission_id}, which is another run of this stack")
                    asked.add(job.submission_id)
                    self._stop(job.submission_id)
            self._progress.say(f"waiting for the end of {_ids(others)}")
            time.sleep(self._limits.poll)
        if asked:
            # Its actors hold the GPUs for a moment longer, and verl does not start without them.
            time.sleep(self._limits.pause)
        return attempts

    def _look(self) -> list[Job]:
        """This run's submissions, the newest last. Gives up if another run has taken the cluster.

        Only at its own beginning does a submitter stop other runs: one that begins later belongs to
        its successor.
        """
        attempts, others = self._sorted_submissions()
        if others:
            raise GiveUp(Exit.STOPPED, f"{_ids(others)} has taken the place of this run")
        if self._attended and attempts and attempts[-1].status == "STOPPED":
            raise GiveUp(Exit.STOPPED, f"{attempts[-1].submission_id} was stopped by somebody else")
        return attempts

    def _sorted_submissions(self) -> tuple[list[Job], list[Job]]:
        """This run's submissions, the newest last; and what runs of this stack's other runs."""
        attempts: list[tuple[int, Job]] = []
        others: list[Job] = []
        for job in self._patiently(self._jobs.submissions):
            fingerprint, attempt = self._run.split(job.submission_id)
            if fingerprint == self._run.fingerprint:
                attempts.append((attempt, job))
            elif fingerprint and not job.is_over:
                others.append(job)
        attempts.sort(key=lambda pair: pair[0])
        if attempts:
            self._highest = max(self._highest, attempts[-1][0])
        return [job for _, job in attempts], others

    def _stop(self, submission_id: str) -> None:
        try:
            self._patiently(lambda: self._jobs.stop(submission_id))
        except NoSuchJob:
            pass

    def _submit(self) -> None:
        submission_id = self._run.submission_id(self._highest + 1)
        say(f"submitting {submission_id}")
        try:
            self._jobs.submit(submission_id, self._entrypoint, {"owner": self._owner})
        except JobExists:
            say(f"{submission_id} is there already")
        except TRANSIENT as error:
            # The next look tells whether Ray took it; the same id cannot start twice.
            say(f"cannot tell whether {submission_id} was submitted: {error}")
            time.sleep(self._limits.poll)
        else:
            self._submitted = submission_id

    def _attend(self, submission_id: str) -> None:
        """Prints the output of a submission until it has ended or Ray has forgotten it."""
        joined = submission_id != self._submitted
        if joined:
            say(f"joining {submission_id}; its earlier output is in {self._run.training_log}")
        self._attended = True
        self._output = Output(self._jobs, submission_id, joined=joined)
        while True:
            try:
                job = self._patiently(lambda: self._jobs.get(submission_id))
            except NoSuchJob:
                say(f"Ray has forgotten {submission_id}: its head was restarted")
                return
            if job.is_over:
                self._copy_rest(self._output, job)
                return
            try:
                self._output.copy(job)
            except RayJobsError as error:
                self._progress.say(f"{submission_id} runs, but its output cannot be read: {error}")
            time.sleep(self._limits.poll)

    def _copy_rest(self, output: Output, job: Job) -> None:
        # Ray may still be writing why the run ended.
        time.sleep(min(1.0, self._limits.poll))
        try:
            output.copy(job, to_end=True)
        except RayJobsError:
            try:
                output.copy_rest_from_api()
            except RayJobsError as error:
                say(f"the end of the output of {job.submission_id} cannot be read: {error}")

    def _pause_or_give_up(self, attempts: list[Job]) -> None:
        """Waits before the next start, if there may be one."""
        latest, allowed = attempts[-1], self._run.max_restarts
        failed = [
            job
            for job in attempts
            if job.status == "FAILED" and job.metadata.get("owner", "") == self._owner
        ]
        early = [job for job in failed[-EARLY_FAILURES:] if self._is_early(job)]
        if len(early) == EARLY_FAILURES:
            seconds = f"{self._limits.early_failure:g} s"
            reason = (
                f"{EARLY_FAILURES} failures within {seconds} of the start: a fourth would follow"
            )
        elif len(failed) > allowed:
            reason = f"all {allowed} restarts are used up"
        else:
            pause = min(self._limits.pause * 2 ** (len(failed) - 1), LONGEST_PAUSE_SECONDS)
            if failed:
                say(f"{_end(latest)}; restart {len(failed)} of {allowed} in {pause:g} s")
                time.sleep(pause)
            return
        self._leave_mark(f"{_end(latest)}; {reason}")
        lines = self._output.last_lines() if self._output else latest.message.splitlines()
        raise GiveUp(Exit.RUN_FAILED, "\n".join([f"{_end(latest)}; {reason}. Its last lines:", *lines]))

    def _leave_mark(self, reason: str) -> None:
        """Tells those that wait for the run's servers that there will be none."""
        try:
            run_end.leave_mark(self._jobs, self._run.namespace, reason)
        except RayJobsError as error:
            say(f"those that wait for the run cannot be told that it is given up: {error}")

    def _is_early(self, job: Job) -> bool:
        if job.started is None or job.ended is None:
            return False
        return job.ended - job.started < self._limits.early_failure

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Asks until the head answers."""
        silent_since: float | None = None
        while True:
            try:
                answer = ask()
            except TRANSIENT as error:
                now = time.monotonic()
                silent_since = now if silent_since is None else silent_since
                left = self._limits.head - (now - silent_since)
                if left <= 0:
                    silence = f"the head was silent for {self._limits.head:g} s"
                    raise GiveUp(Exit.HEAD_SILENT, f"{silence}: {error}") from None
                self._progress.say(f"waiting for the head: {error}", left)
                time.sleep(min(self._limits.poll, left))
            else:
                return answer


def _ids(jobs: list[Job]) -> str:
    return ", ".join(job.submission_id for job in jobs)


def _end(job: Job) -> str:
    code = "" if job.exit_code is None else f" with exit code {job.exit_code}"
    return f"{job.submission_id} has failed{code}"


class Program:
    """The program around a submitter, which may not be there yet when a signal comes."""

    def __init__(self) -> None:
        self._submitter: Submitter | None = None

    def run(self) -> int:
        self._submitter = Submitter(
            ray_jobs.from_environment(),
            read_run(pod.required("RUN_SPEC")),
            launch_program=pod.required("LAUNCH_PROGRAM"),
            owner=os.environ.get("RUN_OWNER", ""),
            limits=Limits(
                head=pod.number("HEAD_TIMEOUT_SECONDS"),
                poll=pod.number("POLL_SECONDS", 3),
                pause=pod.number("RESTART_PAUSE_SECONDS", 10),
                early_failure=pod.number("EARLY_FAILURE_SECONDS", 120),
            ),
        )
        try:
            self._submitter.follow()
        except TokenRefused as error:
            raise GiveUp(Exit.TOKEN_REFUSED, str(error)) from None
        except RayJobsError as error:
            raise BadInput(str(error)) from None
        return Exit.SUCCEEDED

    def detached(self) -> str:
        run = (self._submitter and self._submitter.newest) or "the run"
        return f"no longer following {run}, which goes on in Ray"


if __name__ == "__main__":
    program = Program()
    sys.exit(pod.run("submit_run", program.run, program.detached))
