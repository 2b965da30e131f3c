"""The client of Ray's job API: against a real Ray, and against peers that misbehave."""

from __future__ import annotations

import json
import socket
import time

import pytest
from ray_jobs import (
    Job,
    JobExists,
    NoSuchJob,
    RayJobs,
    RayJobsError,
    ServerFailed,
    TokenRefused,
    Unreachable,
)
from support.cluster import JOBS_URL, TOKEN, Cluster
from support.http_stub import Handler, answering
from support.network import free_port
from support.processes import wait_until


@pytest.fixture(scope="module")
def jobs(cluster: Cluster) -> RayJobs:
    return RayJobs(JOBS_URL, TOKEN)


def test_life_of_a_submission(jobs: RayJobs) -> None:
    begun = time.time()
    jobs.submit("first", "printf 'one\\ntwo\\n'; exit 3", {"owner": "me"})
    jobs.submit("second", "exec sleep 600")
    with pytest.raises(JobExists):
        jobs.submit("first", "echo again")
    wait_until(lambda: jobs.get("first").is_over, 60, "end of the first submission")
    wait_until(lambda: jobs.get("second").status == "RUNNING", 60, "start of the second")
    jobs.stop("second")
    wait_until(lambda: jobs.get("second").is_over, 30, "end of the second submission")

    first = jobs.get("first")
    assert (first.status, first.exit_code, first.metadata) == ("FAILED", 3, {"owner": "me"})
    assert first.started is not None
    assert first.ended is not None
    assert begun - 5 < first.started < first.ended < time.time() + 5
    assert "exit code 3" in first.message
    assert jobs.get("second").status == "STOPPED"
    listed = {job.submission_id: job.status for job in jobs.submissions()}
    assert listed["first"] == "FAILED"
    assert listed["second"] == "STOPPED"
    jobs.stop("second")  # Once more does no harm.

    output = jobs.logs("first").encode()
    assert b"one\ntwo\n" in output
    assert jobs.output_size(first) == len(output)
    assert jobs.read_output(first, 0, 1 << 20) == output
    assert jobs.read_output(first, 5, 10) == output[5:15]
    assert jobs.read_output(first, len(output) - 4, 100) == output[-4:]
    assert jobs.read_output(first, len(output), 100) == b""
    assert jobs.read_output(first, len(output) + 1000, 100) == b""


def test_gpus_are_those_of_the_nodes_that_are_there(cluster: Cluster, jobs: RayJobs) -> None:
    assert jobs.gpus() == 0
    with cluster.gpus(3):
        assert jobs.gpus() == 3
    # Ray remembers the node that is lost.
    assert jobs.gpus() == 0


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"data": {"result": {"result": [1]}}}'])
def test_another_answer_about_the_nodes(answer: bytes) -> None:
    with (
        answering(lambda request: request.answer(200, answer)) as server,
        pytest.raises(RayJobsError),
    ):
        RayJobs(server.url, "x").gpus()


def test_unknown_submission(jobs: RayJobs) -> None:
    for ask in (jobs.get, jobs.stop, jobs.logs):
        with pytest.raises(NoSuchJob):
            ask("nobody")
    with pytest.raises(NoSuchJob):
        jobs.get("../../jobs/first?x=1")


@pytest.mark.parametrize("token", ["wrong", "", TOKEN[:-1]])
def test_token_refused(cluster: Cluster, token: str) -> None:
    with pytest.raises(TokenRefused, match="RAY_AUTH_TOKEN"):
        RayJobs(JOBS_URL, token).submissions()


def test_the_agent_wants_the_token_too(jobs: RayJobs) -> None:
    wait_until(lambda: jobs.get("first").is_over, 60, "end of the first submission")
    with pytest.raises(TokenRefused):
        RayJobs(JOBS_URL, "wrong").read_output(jobs.get("first"), 0, 1)


def test_output_of_a_submission_that_has_not_begun(jobs: RayJobs) -> None:
    pending = Job("pending", "PENDING")
    assert jobs.read_output(pending, 0, 100) == b""
    assert jobs.output_size(pending) == 0


def test_nobody_listens() -> None:
    with pytest.raises(Unreachable, match="refused"):
        RayJobs(f"http://127.0.0.1:{free_port()}", "x").submissions()
    with pytest.raises(Unreachable, match="does not answer"):
        RayJobs("http://no-such-host.invalid:8265", "x").submissions()


def test_a_silent_peer_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="timed out"):
            RayJobs(url, "x", timeout=0.5).submissions()
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("answer", [b"<html>", b"", b'{"a": 1}', b"[1]", b"null"])
def test_another_server_on_the_port(answer: bytes) -> None:
    with (
        answering(lambda request: request.answer(200, answer)) as server,
        pytest.raises(RayJobsError) as failure,
    ):
        RayJobs(server.url, "x").submissions()
    assert not isinstance(failure.value, ServerFailed | Unreachable)


def test_failures_of_the_server() -> None:
    traceback = b"Traceback (most recent call last):\n  File ...\nTimeoutError: no agent\n"
    with (
        answering(lambda request: request.answer(500, traceback)) as server,
        pytest.raises(ServerFailed, match=r"500: TimeoutError: no agent$"),
    ):
        RayJobs(server.url, "x").submit("a", "true")
    # A dashboard that is still starting has no job API yet.
    with answering(lambda request: request.answer(404, b"404: Not Found")) as server:
        with pytest.raises(ServerFailed, match="no job API yet"):
            RayJobs(server.url, "x").submissions()
        with pytest.raises(NoSuchJob):
            RayJobs(server.url, "x").get("a")


def test_a_connection_that_breaks() -> None:
    def breaks(request: Handler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
        request.close_connection = True

    with answering(breaks) as server, pytest.raises(Unreachable):
        RayJobs(server.url, "x").submissions()


def test_the_token_follows_no_redirect_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere: list[str] = []

    def collects(request: Handler) -> None:
        elsewhere.append(str(request.headers.get("Authorization")))
        request.answer(200, b"[]")

    def redirects(request: Handler) -> None:
        request.send_response(302)
        request.send_header("Location", other.url)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with answering(collects) as other, answering(redirects) as server:
        monkeypatch.setenv("http_proxy", other.url)
        with pytest.raises(RayJobsError):
            RayJobs(server.url, "secret").submissions()
    assert elsewhere == []


def test_what_ray_is_told() -> None:
    told: list[tuple[str, str, str, object]] = []

    def collects(request: Handler) -> None:
        kind = str(request.headers.get("Content-Type"))
        told.append((request.command, request.path, kind, request.headers.get("Authorization")))
        request.answer(200, json.dumps({"submission_id": "a"}).encode())

    with answering(collects) as server:
        RayJobs(f"{server.url}/", "secret").submit("a", "true")
    assert told == [("POST", "/api/jobs/", "application/json", "Bearer secret")]


@pytest.mark.parametrize("token", ["a\nb", "a\r\nX: y", "schlüssel", "a\x00b"])
def test_a_token_that_no_header_can_carry_is_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="no HTTP header") as failure:
        RayJobs("http://127.0.0.1:1", token)
    assert token not in str(failure.value)
