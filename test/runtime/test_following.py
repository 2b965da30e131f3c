"""The recorder follows rollout servers that come back elsewhere: with a real Ray."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import ray_jobs
from support.backend import Backend
from support.cluster import JOBS_URL, TOKEN, Cluster
from support.network import free_port
from support.processes import Tree, wait_until
from support.programs import discovery_environment, start_program
from support.recorder import Recorder
from support.rollouts import rollouts, server

CHAT = "/v1/chat/completions"
BODY = {"model": "vllm_model", "messages": [{"role": "user", "content": "hello"}]}


def ask(recorder: Recorder, index: int) -> int:
    url = f"{recorder.url}/servers/{index}{CHAT}"
    return httpx.post(url, json=BODY, timeout=30, trust_env=False).status_code


@contextmanager
def asked_all_the_time(recorder: Recorder, index: int) -> Iterator[list[int]]:
    """Statuses of calls to a server, one after the other, for as long as the context lasts."""
    statuses: list[int] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            statuses.append(ask(recorder, index))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()


def looks() -> list[str]:
    jobs = ray_jobs.RayJobs(JOBS_URL, TOKEN).submissions()
    names = [job.submission_id for job in jobs]
    return [name for name in names if name.startswith("discover-moving-")]


def test_a_server_that_moves_is_found_and_the_others_serve_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    """From discovery to the recorder as in the pod, with its table and its Ray."""
    backends = [Backend("server 0"), Backend("server 1"), Backend("server 1 again")]
    variables = {"RAY_NAMESPACE": "moving", "RAY_JOBS_URL": JOBS_URL, "ROLLOUT_SERVERS": "2"}
    with ExitStack() as stack:
        ends = [stack.enter_context(ExitStack()) for _ in backends]
        for backend, end in zip(backends, ends, strict=True):
            end.enter_context(backend.running())
        stays = [server(0, backends[0].port)]
        stack.enter_context(rollouts(cluster, "moving", stays, tmp_path / "stays.log"))
        moves = stack.enter_context(ExitStack())
        log = tmp_path / "moves.log"
        moves.enter_context(rollouts(cluster, "moving", [server(1, backends[1].port)], log))

        environment = discovery_environment(tmp_path, **variables)
        discovery = start_program("discover_rollouts.py", environment, tmp_path / "discovery.log")
        assert discovery.wait(60) == 0, discovery.errors
        table = environment["ROLLOUT_TABLE"]
        recorder = Recorder(tmp_path / "r", backends[:2], **variables, ROLLOUT_TABLE=table)
        stack.callback(lambda: recorder.process.kill())
        recorder.wait()
        assert [ask(recorder, index) for index in range(2)] == [200, 200]

        with asked_all_the_time(recorder, 0) as statuses:
            # Server 1 ends, and is there again after a while under another address.
            moves.close()
            ends[1].close()
            wait_until(lambda: ask(recorder, 1) == 503, 30, "the refusal")
            assert recorder.state["servers"][1]["address"] == f"127.0.0.1:{backends[1].port}"
            wait_until(
                lambda: "1: not registered" in recorder.process.errors, 60, "notice of its absence"
            )
            late = [server(1, backends[2].port)]
            stack.enter_context(rollouts(cluster, "moving", late, tmp_path / "again.log"))
            wait_until(lambda: ask(recorder, 1) == 200, 60, "an answer at the new address")
            # A busy machine has made fewer calls by now.
            wait_until(lambda: len(statuses) > 100, 120, "calls of the other server")
        assert set(statuses) == {200} and len(statuses) > 100
        assert len(backends[2].calls) == 1
        assert recorder.state["servers"][1]["address"] == f"127.0.0.1:{backends[2].port}"
        assert "vllm_server_1_0 moved from" in recorder.process.errors
        assert TOKEN not in recorder.process.errors
        # Ray remembers the last look, not all.
        assert recorder.process.errors.count("recording on port") == 1
        assert len(looks()) <= 3, looks()


@pytest.fixture
def waiter(tmp_path: Path) -> Iterator[list[Tree]]:
    started: list[Tree] = []
    yield started
    for tree in started:
        tree.kill()


class TestAwaitRecorder:
    def test_until_it_is_ready(
        self, private_network: None, waiter: list[Tree], tmp_path: Path
    ) -> None:
        backend = Backend("server 0")
        with backend.running():
            recorder = Recorder(tmp_path / "r", [backend])
            try:
                recorder.wait()
                recorder.process.kill()
                environment = {"RECORDER_URL": f"{recorder.url}/", "TIMEOUT_SECONDS": "60"}
                log = tmp_path / "log"
                pod = start_program("await_recorder.py", environment, log)
                waiter.append(pod)
                wait_until(lambda: "Connection refused" in pod.errors, 20, "its first look")
                assert pod.running
                recorder.start()
                assert pod.wait(30) == 0, pod.errors
                assert pod.errors.splitlines()[-1] == "the recorder is ready"
            finally:
                recorder.process.kill()

    def test_gives_up(self, private_network: None, waiter: list[Tree], tmp_path: Path) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        begun = time.monotonic()
        environment = {"RECORDER_URL": url, "TIMEOUT_SECONDS": "3"}
        pod = start_program("await_recorder.py", environment, tmp_path / "log")
        waiter.append(pod)
        assert pod.wait(30) == 3
        assert time.monotonic() - begun >= 3
        last = pod.errors.splitlines()[-1]
        assert f"given up after 3 s: the recorder at {url} is not ready: " in last
        assert "discover-rollouts" in last

    @pytest.mark.parametrize(
        ("environment", "complaint"),
        [
            ({"RECORDER_URL": "", "TIMEOUT_SECONDS": "3"}, "RECORDER_URL is not set"),
            ({"RECORDER_URL": "recorder:1", "TIMEOUT_SECONDS": "3"}, "is not an HTTP address"),
            ({"RECORDER_URL": "http://x", "TIMEOUT_SECONDS": "x"}, "TIMEOUT_SECONDS must be"),
        ],
    )
    def test_unusable_environment(
        self, waiter: list[Tree], tmp_path: Path, environment: dict[str, str], complaint: str
    ) -> None:
        pod = start_program("await_recorder.py", environment, tmp_path / "log")
        waiter.append(pod)
        assert pod.wait(30) == 2
        assert complaint in pod.errors
        assert len(pod.errors.splitlines()) == 1
