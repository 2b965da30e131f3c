"""Waits until the policy is served and writes where: init container of the recorder.

verl's rollout servers listen on ports that are known only when they have started. Only a Ray driver can ask
for them, and a driver needs a Ray node under it: so this asks Ray's job API to run
`list_rollouts.py` on the head. It waits until exactly the promised number of servers answers,
checks that each accepts a connection from this pod, and writes the table of their addresses. Never
a smaller one: GPUs without traffic look like a slow run, and nothing would tell. The recorder
follows the servers from there with the same class. Standard library only.

Environment:
    RAY_JOBS_URL, RAY_AUTH_TOKEN  Ray's job API and its token
    RAY_NAMESPACE                 Ray namespace of the run
    ROLLOUT_SERVERS               promised number of rollout servers
    LIST_PROGRAM                  path of list_rollouts.py on the head
    ROLLOUT_TABLE                 where the table is written: JSON, [{"index", "host", "port"}]
    DISCOVERY_TIMEOUT_SECONDS     how long all of it may take
    RAY_GPUS                      optional: GPUs of the run, which Ray must have before it starts
    END_SECONDS                   optional, 30: how long the mark of a run that was given up must
                                  stand, since a new submitter removes an old one
    REACH_SECONDS                 optional, 60: how long a server that gave its address may refuse
                                  connections; network policies reach a new pod with a delay

Exit codes:
    0    the table is written
    2    the environment cannot be used
    3    fewer servers than promised within the time; says which, and why
    4    Ray refuses the token
    5    more servers than promised, or one number in two namespaces
    6    the servers are ready, but this pod cannot connect to them
    9    the run has ended, so that no server will come; says how
    143  SIGTERM
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import pod
import ray_jobs
import run_end
from pod import BadInput, GiveUp, Progress, say
from ray_jobs import Job, NoSuchJob, RayJobs, RayJobsError, TokenRefused
from run_end import End


class Exit(IntEnum):
    READY = 0
    MISSING = 3
    TOKEN_REFUSED = 4
    AMBIGUOUS = 5
    OUT_OF_REACH = 6
    RUN_ENDED = 9


RESULT_PREFIX = "swe-rl-rollouts: "
"""How list_rollouts.py begins a line with results."""

LONGEST_LISTING_SECONDS = 600.0
"""One listing waits no longer than this; then another begins, with a fresh connection."""

LONGEST_LOOK_SECONDS = 120.0
"""A look that takes longer has hung; list_rollouts.py itself gives up on Ray after a minute."""

POLL_SECONDS = 2.0

RUN_SECONDS = 5.0
"""Between two looks at the run itself."""

FAILED_LISTING_SECONDS = 15.0
CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class Server:
    """A rollout server that gave its address."""

    index: int
    host: str
    port: int

    @property
    def name(self) -> str:
        return f"vllm_server_{self.index}_0"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Listing:
    """What one look at the cluster has shown."""

    servers: list[Server]
    missing: Mapping[str, str]
    """Reasons, by the number of the server."""


def write_table(servers: list[Server], path: Path) -> None:
    """Writes the file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps([asdict(server) for server in servers]) + "\n")
    partial.replace(path)


def read_table(path: str) -> list[Server]:
    try:
        return [Server(**server) for server in json.loads(Path(path).read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"ROLLOUT_TABLE {path}: {error}") from None


def from_environment() -> Discovery:
    """Discovery as its variables describe it."""
    expected = pod.number("ROLLOUT_SERVERS")
    if expected < 1 or expected != int(expected):
        raise BadInput(f"ROLLOUT_SERVERS must be a whole number of at least 1, not {expected:g}")
    return Discovery(
        ray_jobs.from_environment(),
        namespace=pod.required("RAY_NAMESPACE"),
        expected=int(expected),
        list_program=pod.required("LIST_PROGRAM"),
        timeout=pod.number("DISCOVERY_TIMEOUT_SECONDS"),
        gpus=int(pod.number("RAY_GPUS", 0)),
        end_patience=pod.number("END_SECONDS", 30),
    )


class RunEnded(Exception):
    """The run has ended, so that no server will come."""

    def __init__(self, end: End) -> None:
        super().__init__(end.why)
        self.end = end


class Discovery:
    """Finds the servers of one run."""

    def __init__(
        self,
        jobs: RayJobs,
        *,
        namespace: str,
        expected: int,
        list_program: str,
        timeout: float,
        gpus: int = 0,
        end_patience: float = 30.0,
    ) -> None:
        self._jobs = jobs
        self._namespace = namespace
        self._expected = expected
        self._list_program = list_program
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._progress = Progress()
        self._state = "Ray's head was not asked yet"
        self._found = "Ray's head answers; the listing of rollout servers starts there"
        self._looks: list[str] = []
        self._gpus = gpus
        self._run = ""
        self._run_looked_at = float("-inf")
        self._end_patience = end_patience
        self._ended_since: float | None = None

    @property
    def expected(self) -> int:
        return self._expected

    def servers(self) -> list[Server]:
        """All promised servers, as soon as they have given their addresses. Raises RunEnded."""
        while True:
            try:
                self.demand_run()
                servers = self._listing()
            except TokenRefused as error:
                raise GiveUp(Exit.TOKEN_REFUSED, str(error)) from None
            except NoSuchJob:
                self._run = ""
                self._tell("Ray has lost the listing: its head was restarted")
            except RayJobsError as error:
                self._run = ""
                self._tell(f"Ray's head does not answer: {error}")
            else:
                if servers is not None:
                    return servers
            self._wait()

    def await_reach(self, servers: list[Server], patience: float) -> None:
        """Waits until every server accepts a connection from this pod."""
        patience_ends = time.monotonic() + patience
        while True:
            failures = {
                server.name: reason for server in servers if (reason := _connection_failure(server))
            }
            if not failures:
                return
            what = "; ".join(f"{name} at {reason}" for name, reason in failures.items())
            if time.monotonic() >= min(patience_ends, self._deadline):
                raise GiveUp(
                    Exit.OUT_OF_REACH,
                    f"{len(failures)} of {len(servers)} rollout servers are ready, but cannot be "
                    f"reached from this pod: {what}. Check the network policy within-training, "
                    "which must let this pod reach Ray's workers.",
                )
            self._tell(f"not reachable from this pod: {what}")
            self._wait()

    def look(self) -> Listing:
        """Who is there now. Raises RayJobsError, and GiveUp where waiting is of no use."""
        self._forget_looks()
        submission_id = self._submit(0)
        self._looks.append(submission_id)
        until = time.monotonic() + LONGEST_LOOK_SECONDS
        try:
            while not (job := self._jobs.get(submission_id)).is_over:
                if time.monotonic() > until:
                    raise RayJobsError(f"the listing has not ended for {LONGEST_LOOK_SECONDS:g} s")
                time.sleep(1)
        finally:
            self._end(submission_id)
        result = _last_result(self._jobs.logs(submission_id))
        if result is None:
            raise RayJobsError(f"the listing failed on the head: {_reason(job)}")
        return _listing(result)

    def _forget_looks(self) -> None:
        """Ray would remember a submission for each look, for ever."""
        for submission_id in list(self._looks):
            try:
                # Ray may bring back what was just over, so only the next time tells.
                self._jobs.delete(submission_id)
            except NoSuchJob:
                self._looks.remove(submission_id)
            except RayJobsError:
                return

    def _listing(self) -> list[Server] | None:
        """Runs list_rollouts.py on the head. None: not all are there yet."""
        submission_id = self._submit(min(self._left(), LONGEST_LISTING_SECONDS))
        try:
            return self._follow(submission_id)
        finally:
            self._end(submission_id)

    def _submit(self, seconds: float) -> str:
        submission_id = f"discover-{self._namespace}-{uuid.uuid4().hex[:12]}"
        command = [
            *("python3", self._list_program),
            *("--namespace", self._namespace),
            *("--expected", str(self._expected)),
            *("--wait", f"{seconds:.0f}"),
        ]
        self._jobs.submit(submission_id, "exec " + shlex.join(command))
        return submission_id

    def _follow(self, submission_id: str) -> list[Server] | None:
        while True:
            job = self._jobs.get(submission_id)
            result = _last_result(self._jobs.logs(submission_id))
            if result is not None:
                listing = _listing(result)
                if not listing.missing:
                    return listing.servers
                self._found = self._describe(len(listing.servers), listing.missing)
            elif job.is_over:
                self._found = f"the listing failed on the head: {_reason(job)}"
            self.demand_run()
            # Said at each look: where the run stands may have changed, however slow the listing is.
            self._tell(self._found)
            if job.is_over:
                if result is None:
                    self._wait(FAILED_LISTING_SECONDS)
                return None
            self._wait()

    def demand_run(self) -> None:
        """Looks where the run stands, but not all the time. Raises RunEnded and RayJobsError."""
        now = time.monotonic()
        if now - self._run_looked_at < RUN_SECONDS:
            return
        self._run_looked_at = now
        run = run_end.state_of(self._jobs, self._namespace)
        self._run = f"{run.words}{self._missing_gpus()}"
        self._ended_since = None if run.end is None else self._ended_since or now
        if run.end is None or self._ended_since is None:
            return
        if run.end.succeeded or now - self._ended_since >= self._end_patience:
            raise RunEnded(run.end)

    def _missing_gpus(self) -> str:
        """What the run waits for, if Ray lacks its GPUs."""
        there = self._gpus
        # Whoever cannot be told about GPUs can wait for servers all the same.
        with suppress(RayJobsError):
            there = self._jobs.gpus() if self._gpus else 0
        return f"; it waits for Ray's GPUs: {there} of {self._gpus}" if there < self._gpus else ""

    def _end(self, submission_id: str) -> None:
        """Leaves no listing running. It is not deleted: Ray would bring it back as failed."""
        with suppress(RayJobsError):
            if not self._jobs.get(submission_id).is_over:
                self._jobs.stop(submission_id)

    def _describe(self, ready: int, missing: Mapping[str, str]) -> str:
        each = "; ".join(
            f"vllm_server_{index}_0: {reason}"
            for index, reason in sorted(missing.items(), key=lambda item: int(item[0]))
        )
        return f"{ready} of {self._expected} rollout servers are ready; missing {each}"

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _tell(self, state: str) -> None:
        self._state = f"{state}. The run: {self._run}" if self._run else state
        self._progress.say(self._state, self._left())

    def _wait(self, seconds: float = POLL_SECONDS) -> None:
        if not self._left():
            raise GiveUp(Exit.MISSING, f"given up after {self._timeout:g} s: {self._state}")
        time.sleep(min(seconds, self._left()))


def _last_result(output: str) -> dict[str, Any] | None:
    for line in reversed(output.splitlines()):
        if line.startswith(RESULT_PREFIX):
            with suppress(ValueError):
                result: dict[str, Any] = json.loads(line.removeprefix(RESULT_PREFIX))
                return result
    return None


def _listing(result: Mapping[str, Any]) -> Listing:
    if result.get("problem"):
        raise GiveUp(Exit.AMBIGUOUS, str(result["problem"]))
    return Listing([Server(**server) for server in result["servers"]], result["missing"])


def _reason(job: Job) -> str:
    return (job.message.strip().splitlines() or [job.status])[-1]


def _connection_failure(server: Server) -> str | None:
    try:
        socket.create_connection((server.host, server.port), CONNECT_SECONDS).close()
    except TimeoutError:
        return f"{server.authority} (no answer within {CONNECT_SECONDS:g} s)"
    except OSError as error:
        return f"{server.authority} ({error.strerror or error})"
    return None


def discover() -> int:
    discovery = from_environment()
    table = Path(pod.required("ROLLOUT_TABLE"))
    try:
        servers = discovery.servers()
    except RunEnded as error:
        raise GiveUp(Exit.RUN_ENDED, str(error)) from None
    discovery.await_reach(servers, pod.number("REACH_SECONDS", 60))
    try:
        write_table(servers, table)
    except OSError as error:
        raise BadInput(f"cannot write the table: {error}") from None
    for server in servers:
        say(f"{server.name} at {server.authority}")
    say(f"wrote {table} for {len(servers)} rollout servers")
    return Exit.READY


if __name__ == "__main__":
    sys.exit(pod.run("discover_rollouts", discover))
