"""Client of Ray's job API, for Ray 2.52 (the first with token authentication) to 2.60.

Standard library only: it also runs in images without Ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pod
from http_client import Answer, HttpClient, NoAnswer

PARTIAL_CONTENT = 206

ACTIVE = ("PENDING", "RUNNING")
"""States that a submission leaves again. The others are STOPPED, SUCCEEDED and FAILED."""


ALIVE_NODES = "/api/v0/nodes?" + urlencode(
    [
        *(("filter_keys", "state"), ("filter_predicates", "="), ("filter_values", "ALIVE")),
        ("limit", "10000"),
    ]
)
"""Of Ray's state API, which the dashboard serves beside the job API and with the same token."""


class RayJobsError(Exception):
    """Ray's job API did not do what it was asked to do."""


class Unreachable(RayJobsError):
    """Nobody answered, or not in time."""


class ServerFailed(RayJobsError):
    """Ray answered with 5xx: it is starting, stopping or broken."""


class TokenRefused(RayJobsError):
    """Ray wants another token (401, 403)."""


class NoSuchJob(RayJobsError):
    """Ray does not know the submission, or not any more: a restarted head forgets them all."""


class JobExists(RayJobsError):
    """A submission with this id is there already."""


TRANSIENT = (Unreachable, ServerFailed)
"""Failures that may pass by themselves."""


@dataclass(frozen=True)
class Job:
    """A submission. Times are Unix times in seconds."""

    submission_id: str
    status: str
    message: str = ""
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    agent: str | None = None
    """Base URL of the Ray agent on the node where the entry point runs; None before it runs."""

    @property
    def is_over(self) -> bool:
        return self.status not in ACTIVE


def from_environment() -> RayJobs:
    """The job API that RAY_JOBS_URL and RAY_AUTH_TOKEN name."""
    url, token = pod.required("RAY_JOBS_URL"), pod.required("RAY_AUTH_TOKEN")
    try:
        return RayJobs(url, token)
    except ValueError as error:
        raise pod.BadInput(f"RAY_JOBS_URL or RAY_AUTH_TOKEN: {error}") from None


class RayJobs:
    """Ray's job API at `url`, for example http://ray-head-svc.single-node-train:8265."""

    def __init__(self, url: str, token: str, timeout: float = 30.0) -> None:
        """`timeout` bounds each wait for an answer, in seconds."""
        if not (token.isascii() and token.isprintable()):
            raise ValueError("the token has characters that no HTTP header can carry")
        self._head = HttpClient(url, timeout=timeout)
        self._token = token
        self._timeout = timeout

    def submit(
        self, submission_id: str, entrypoint: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Starts a shell command on the head.

        Ray refuses an id that it knows, so a repeated call cannot start a second process.
        """
        body = {
            "submission_id": submission_id,
            "entrypoint": entrypoint,
            "metadata": dict(metadata or {}),
        }
        try:
            self._ask_when_there("POST", "/api/jobs/", body)
        except ServerFailed as error:
            # Ray wraps its own 400 into a 500 here.
            if f"{submission_id} already exists" in str(error):
                raise JobExists(f"Ray already has a submission {submission_id}") from None
            raise

    def submissions(self) -> list[Job]:
        """Every submission that Ray remembers, in no particular order."""
        rows = _typed(self._ask_when_there("GET", "/api/jobs/"), list)
        return [_job(row) for row in rows if _typed(row, dict).get("type") == "SUBMISSION"]

    def get(self, submission_id: str) -> Job:
        return _job(self._ask("GET", f"/api/jobs/{quote(submission_id, safe='')}"))

    def stop(self, submission_id: str) -> None:
        """Asks a submission to end; Ray kills it after three seconds. Returns at once."""
        self._ask("POST", f"/api/jobs/{quote(submission_id, safe='')}/stop")

    def delete(self, submission_id: str) -> None:
        """Has Ray forget a submission that is over."""
        self._ask("DELETE", f"/api/jobs/{quote(submission_id, safe='')}")

    def logs(self, submission_id: str) -> str:
        """The whole output so far. For short outputs: Ray sends all of it each time."""
        answer = _typed(self._ask("GET", f"/api/jobs/{quote(submission_id, safe='')}/logs"), dict)
        return str(answer.get("logs") or "")

    def read_output(self, job: Job, start: int, length: int) -> bytes:
        """Bytes of the output from position `start`, at most `length`; empty at its end.

        The job API cannot read on from a position: its log stream begins anew with each request,
        and Ray cuts it after five minutes. But the agent of the job's node serves the same file,
        with byte ranges.
        """
        if job.agent is None:
            return b""
        span = {"Range": f"bytes={start}-{start + length - 1}"}
        try:
            answer = self._output("GET", job, job.agent, span)
        except _PastTheEnd:
            return b""
        content = answer.content
        return content[:length] if answer.status == PARTIAL_CONTENT else content[start:][:length]

    def output_size(self, job: Job) -> int:
        """Bytes of output so far."""
        if job.agent is None:
            return 0
        return int(self._output("HEAD", job, job.agent, {}).headers.get("Content-Length") or 0)

    def gpus(self) -> int:
        """GPUs of the nodes that Ray has, whoever uses them.

        A node that is lost counts until Ray misses it: after 17 s where its processes were killed
        (2.60), after about a minute where its machine went silent.
        """
        answer = _typed(self._ask_when_there("GET", ALIVE_NODES), dict)
        rows = answer
        for key in ("data", "result"):
            rows = _typed(rows.get(key), dict)
        nodes = _typed(rows.get("result"), list)
        totals = [_typed(_typed(node, dict).get("resources_total"), dict) for node in nodes]
        return sum(int(total.get("GPU", 0)) for total in totals)

    def _output(self, method: str, job: Job, agent: str, headers: Mapping[str, str]) -> Answer:
        path = f"/logs/job-driver-{quote(job.submission_id, safe='')}.log"
        try:
            client = HttpClient(agent, timeout=self._timeout)
        except ValueError as error:
            raise RayJobsError(f"Ray names an agent without an address: {error}") from None
        return self._send(client, method, path, headers)

    def _ask_when_there(self, method: str, path: str, body: object = None) -> object:
        """Asks a route that every dashboard has once it has started."""
        try:
            return self._ask(method, path, body)
        except NoSuchJob as error:
            raise ServerFailed(f"there is no job API yet: {error}") from None

    def _ask(self, method: str, path: str, body: object = None) -> object:
        headers = {"Content-Type": "application/json"}
        answer = self._send(self._head, method, path, headers, body)
        try:
            return answer.json()
        except ValueError:
            raise RayJobsError(
                f"{self._head.address} answers, but not as Ray's job API: {answer.content[:80]!r}"
            ) from None

    def _send(
        self,
        client: HttpClient,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: object = None,
    ) -> Answer:
        headers = {**headers, "Authorization": f"Bearer {self._token}"}
        try:
            answer = client.send(method, path, headers=headers, body=body)
        except NoAnswer as error:
            raise Unreachable(str(error)) from None
        if answer.status >= 300:
            raise _refusal(answer, client.address + path)
        return answer


class _PastTheEnd(RayJobsError):
    """Range not satisfiable."""


def _refusal(answer: Answer, url: str) -> RayJobsError:
    # Ray answers failures with a traceback; its last line names the cause.
    lines = answer.text.strip().splitlines()
    cause = next((line for line in reversed(lines) if len(line) > 1), answer.reason)
    if answer.status in (401, 403):
        return TokenRefused(
            f"{url} refuses the token (RAY_AUTH_TOKEN) with {answer.status}: {cause}"
        )
    if answer.status == 404:
        return NoSuchJob(f"{url}: {cause}")
    if answer.status == 416:
        return _PastTheEnd(url)
    if answer.status >= 500:
        return ServerFailed(f"{url} answers {answer.status}: {cause}")
    return RayJobsError(f"{url} answers {answer.status}: {cause}")


def _typed(value: object, kind: type) -> Any:
    if not isinstance(value, kind):
        raise RayJobsError(
            f"Ray's job API answers {str(value)[:80]!r} where a {kind.__name__} is due"
        )
    return value


def _job(answer: object) -> Job:
    row = _typed(answer, dict)

    def seconds(name: str) -> float | None:
        milliseconds = row.get(name)
        return None if milliseconds is None else float(milliseconds) / 1000

    return Job(
        submission_id=str(row.get("submission_id") or ""),
        status=str(row.get("status") or ""),
        message=str(row.get("message") or ""),
        started=seconds("start_time"),
        ended=seconds("end_time"),
        exit_code=row.get("driver_exit_code"),
        metadata=row.get("metadata") or {},
        agent=row.get("driver_agent_http_address"),
    )
