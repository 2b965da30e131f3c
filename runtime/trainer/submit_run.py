"""Follows a training run: submits it to Ray, prints its output, starts it again when it fails.

The program of the trainer Job's pod. The run itself lives in Ray, on the head, so this pod may come
and go: a new one finds the submission by its id, `<stack>-<fingerprint>-<attempt>`, and goes on
following. Nothing is remembered here that Ray does not know: each submission has with it what was
counted before it. Standard library only.

A failed run is started again, and failures of three kinds are counted apart:
    after a step            at most `maxRestarts`, all in all
    before the first step   the third in a row ends the run: a fourth would follow
    with GPUs missing       none counts, since a node was lost. But the tenth in a row without a new
                            step ends the run: then it is the run that takes its nodes down
With a `maxRestarts` of 0 no failed run is started again.

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
    LOSS_SECONDS           optional, 30: how long after a failure Ray may still count a lost node

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
from dataclasses import asdict, dataclass
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
"""Failures before the first step, in a row, after which another start is not worth its while."""

LOSSES = 10
"""Failures with GPUs missing, in a row and without a new step, that end the run."""

STEP = re.compile(rb"^(?:\S*\([^)\n]*\)\S* )?step:([1-9]\d*) - (?!val-)", re.MULTILINE)
"""verl's line of a trained step (verl/utils/logger/aggregate_logger.py), behind Ray's prefix or none.
A validation before the first one has the same form, and only metrics that begin with `val-`."""

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
    loss: float


@dataclass(frozen=True)
class Failures:
    """What was counted so far. It lies in the metadata of the next submission."""

    after_step: int = 0
    before_step: int = 0
    """In a row."""
    losses: int = 0
    """In a row, without a new step."""
    step: int = 0
    """The highest that was done."""

    @classmethod
    def before(cls, job: Job, owner: str) -> Failures:
        """Those of the submissions before this one. Another owner's do not count."""
        if job.metadata.get("owner", "") != owner:
            return cls()
        return cls(**{key: int(job.metadata.get(key, 0)) for key in asdict(cls())})

    def metadata(self) -> dict[str, str]:
        return {key: str(count) for key, count in asdict(self).items()}

    def then(self, step: int | None, *, lost: bool) -> Failures:
        """With another one: after which step, and whether GPUs were missing."""
        is_new = step is not None and step > self.step
        losses = 0 if is_new else self.losses
        early = self.before_step if step is None else 0
        highest = max(self.step, step or 0)
        if lost:
            return Failures(self.after_step, early, losses + 1, highest)
        if step is None:
            return Failures(self.after_step, early + 1, losses, highest)
        return Failures(self.after_step + 1, 0, losses, highest)

    @property
    def count(self) -> int:
        return self.after_step + self.before_step + self.losses

    def too_many(self, max_restarts: int) -> str | None:
        """Why the run is not started again, if it is not."""
        if self.count and max_restarts == 0:
            return "it is never started again (trainer.max_restarts is 0)"
        if self.after_step > max_restarts:
            return f"all {max_restarts} restarts are used up"
        if self.before_step >= EARLY_FAILURES or self.before_step > max_restarts:
            return f"{self.before_step} failures in a row before the first step: another would follow"
        if self.losses >= LOSSES:
            return f"Ray has lost GPUs {self.losses} times in a row without a new step"
        return None


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


def last_step(jobs: RayJobs, job: Job) -> int | None:
    """The last step that a submission has trained. Reads its output from the end: that of days is long."""
    end, rest = jobs.output_size(job), b""
    while end > 0:
        start = max(0, end - PIECE)
        data = jobs.read_output(job, start, end - start) + rest
        # The first line may have begun in the piece before.
        whole = data.find(b"\n") + 1 if start else 0
        if found := STEP.findall(data[whole:]):
            return int(found[-1])
        end, rest = start, data[:whole] if whole else data
    return None


class RunFailed(GiveUp):
    """The run has failed for good."""

    def __init__(self, reason: str, lines: list[str]) -> None:
        super().__init__(Exit.RUN_FAILED, "\n".join([f"{reason}. Its last lines:", *lines]))
        self.reason = reason
        self.lines = lines


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
        self._failures = Failures()

    @property
    def newest(self) -> str | None:
        """Id of the newest submission that is known."""
        return self._run.submission_id(self._highest) if self._highest else None

    def follow(self) -> None:
        """Returns when the run has succeeded.

        Raises GiveUp, TokenRefused, or another RayJobsError that no waiting can cure.
        """
        try:
            self._follow()
        except GiveUp as end:
            if end.code in (Exit.RUN_FAILED, Exit.STOPPED):
                self._leave_mark(end)
            raise

    def _follow(self) -> None:
        self._patiently(lambda: run_end.remove_marks(self._jobs, self._run.namespace))
        attempts = self._clear_the_way()
        while True:
            latest = attempts[-1] if attempts else None
            if latest is not None:
                self._failures = Failures.before(latest, self._owner)
            if latest is None or latest.status == "STOPPED":
                # Never begun, forgotten by a restarted head, or stopped in favour of another run.
                self._submit()
            elif not latest.is_over:
                self._attend(latest.submission_id)
            elif latest.status == "SUCCEEDED":
                say(f"{latest.submission_id} has succeeded")
                return
            else:
                self._pause_or_give_up(latest)
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
            about = {"owner": self._owner, **self._failures.metadata()}
            self._jobs.submit(submission_id, self._entrypoint, about)
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

    def _pause_or_give_up(self, latest: Job) -> None:
        """Waits before the next start, if there may be one."""
        if latest.metadata.get("owner", "") != self._owner:
            return
        missing, step = self._missing_gpus(), self._last_step(latest)
        failures = self._failures.then(step, lost=missing is not None)
        what = f"{_end(latest)} {'before its first step' if step is None else f'after step {step}'}"
        reason = failures.too_many(self._run.max_restarts)
        if reason is not None:
            lines = self._output.last_lines() if self._output else latest.message.splitlines()
            raise RunFailed(f"{what}; {reason}", lines)
        pause = min(self._limits.pause * 2 ** (failures.count - 1), LONGEST_PAUSE_SECONDS)
        if missing is not None:
            next_start = f"{missing}, so that this does not count; next start"
        elif step is None:
            allowed = min(EARLY_FAILURES - 1, self._run.max_restarts)
            next_start = f"restart {failures.before_step} of {allowed} without a step"
        else:
            next_start = f"restart {failures.after_step} of {self._run.max_restarts}"
        say(f"{what}; {next_start} in {pause:g} s")
        self._failures = failures
        time.sleep(pause)

    def _missing_gpus(self) -> str | None:
        """What Ray lacks of the run's GPUs; None: nothing. A lost node counts until Ray misses it."""
        if not self._run.gpus:
            return None
        until = time.monotonic() + self._limits.loss
        while (there := self._patiently(self._jobs.gpus)) >= self._run.gpus:
            if time.monotonic() >= until:
                return None
            time.sleep(self._limits.poll)
        return f"Ray has {there} of {self._run.gpus} GPUs"

    def _last_step(self, job: Job) -> int | None:
        """The last step that a submission has trained; None: none, or its output cannot be read."""
        try:
            return last_step(self._jobs, job)
        except RayJobsError:
            pass
        try:
            found = STEP.findall(self._jobs.logs(job.submission_id).encode())
        except RayJobsError as error:
            say(f"the output of {job.submission_id} cannot be read, so it counts as without a step: {error}")
            return None
        return int(found[-1]) if found else None

    def _leave_mark(self, end: GiveUp) -> None:
        """Tells those that wait for the run's servers that there will be none."""
        reason, lines = (end.reason, end.lines) if isinstance(end, RunFailed) else (str(end), [])
        try:
            run_end.leave_mark(self._jobs, self._run.namespace, self._highest, reason, lines)
        except RayJobsError as error:
            say(f"those that wait for the run cannot be told that it is given up: {error}")

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
                loss=pod.number("LOSS_SECONDS", 30),
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
