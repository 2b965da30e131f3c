"""The recorder's init container, against a real Ray."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import discover_rollouts
import pod
import pytest
import ray_jobs
import run_end
from support.cluster import JOBS_URL, TOKEN, Cluster
from support.network import free_port
from support.processes import Tree, wait_until
from support.programs import RUNTIME, discovery_environment, start_program
from support.rollouts import rollouts, server

Discover = Callable[..., Tree]


@pytest.fixture
def discover(tmp_path: Path) -> Iterator[Discover]:
    """Starts the program; its table goes to `table_of(tree)`."""
    started: list[Tree] = []

    def start(**environment: str) -> Tree:
        directory = tmp_path / f"pod-{len(started)}"
        variables = discovery_environment(directory, **environment)
        tree = start_program("discover_rollouts.py", variables, directory / "log")
        started.append(tree)
        return tree

    yield start
    for tree in started:
        tree.kill()


def table_of(tree: Tree) -> Path:
    return tree.log.parent / "table" / "rollouts.json"


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Ports on which something listens."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        yield [listener.getsockname()[1] for listener in listeners]


def running_listings() -> list[str]:
    jobs = ray_jobs.RayJobs(JOBS_URL, TOKEN).submissions()
    mine = [job.submission_id for job in jobs if not job.is_over]
    return [submission_id for submission_id in mine if submission_id.startswith("discover-run-")]


def nothing_runs() -> bool:
    return running_listings() == []


def test_two_pods_wait_for_a_late_server_and_write_the_same_table(
    cluster: Cluster, discover: Discover, ports: list[int], tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    servers = [server(0, ports[0]), server(1, ports[1], once=str(ready))]
    with rollouts(cluster, "run", servers, tmp_path / "rollouts.log"):
        pods = [discover(), discover()]
        said = (
            "1 of 2 rollout servers are ready; missing vllm_server_1_0: registered, but not ready"
        )
        wait_until(
            lambda: all(said in pod.errors for pod in pods), 90, "lines about the late server"
        )
        assert not any(table_of(pod).exists() for pod in pods)
        ready.touch()
        for pod in pods:
            assert pod.wait(60) == 0, pod.errors
    for pod in pods:
        assert json.loads(table_of(pod).read_text()) == [
            {"index": index, "host": "127.0.0.1", "port": port} for index, port in enumerate(ports)
        ]
        assert [path.name for path in table_of(pod).parent.iterdir()] == ["rollouts.json"]
        assert TOKEN not in pod.errors + table_of(pod).read_text()
    wait_until(nothing_runs, 20, "end of the listings")


@pytest.fixture(scope="class")
def failed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tree]]:
    """Pods that have ended, each for a reason of its own. Servers 0 and 2 are there, 0 is ready."""
    directory = tmp_path_factory.mktemp("failed")
    variations: dict[str, dict[str, str]] = {
        "fewer": {"ROLLOUT_SERVERS": "3", "DISCOVERY_TIMEOUT_SECONDS": "25"},
        "more": {"ROLLOUT_SERVERS": "1", "DISCOVERY_TIMEOUT_SECONDS": "3600"},
        "token": {"RAY_AUTH_TOKEN": "wrong", "DISCOVERY_TIMEOUT_SECONDS": "3600"},
        "deleted": {"ROLLOUT_SERVERS": "3", "DISCOVERY_TIMEOUT_SECONDS": "3600"},
        "program": {"LIST_PROGRAM": "/nowhere/list.py", "DISCOVERY_TIMEOUT_SECONDS": "25"},
    }
    servers = [server(0, port=4000), server(2, once="/never")]
    pods: dict[str, Tree] = {}
    try:
        with rollouts(cluster, "run", servers, directory / "rollouts.log"):
            for name, variables in variations.items():
                environment = discovery_environment(directory / name, **variables)
                log = directory / name / "log"
                pods[name] = start_program("discover_rollouts.py", environment, log)
            # One that is told to end, while another still waits for its deadline.
            deleted = pods["deleted"]
            wait_until(lambda: "1 of 3 rollout servers" in deleted.errors, 60, "a first look")
            deleted.signal(signal.SIGTERM)
            for pod in pods.values():
                pod.wait(90)
        yield pods
    finally:
        for pod in pods.values():
            pod.kill()


class TestGivesUp:
    def test_fewer_than_promised(self, failed: dict[str, Tree]) -> None:
        pod = failed["fewer"]
        assert pod.wait(0) == 3, pod.errors
        last = pod.errors.splitlines()[-1]
        assert "given up after 25 s: 1 of 3 rollout servers are ready" in last
        assert "vllm_server_1_0: not registered" in last
        assert "vllm_server_2_0: registered, but not ready: AssertionError" in last

    def test_more_than_promised(self, failed: dict[str, Tree]) -> None:
        pod = failed["more"]
        assert pod.wait(0) == 5, pod.errors
        assert "2 rollout servers are registered, but 1 were promised" in pod.errors

    def test_wrong_token(self, failed: dict[str, Tree]) -> None:
        pod = failed["token"]
        assert pod.wait(0) == 4, pod.errors
        assert "refuses the token (RAY_AUTH_TOKEN) with 403" in pod.errors

    def test_no_program_on_the_head(self, failed: dict[str, Tree]) -> None:
        pod = failed["program"]
        assert pod.wait(0) == 3, pod.errors
        last = pod.errors.splitlines()[-1]
        assert "the listing failed on the head" in last
        assert "/nowhere/list.py" in last

    def test_sigterm(self, failed: dict[str, Tree]) -> None:
        pod = failed["deleted"]
        assert pod.wait(0) == 143, pod.errors
        assert "ended by a signal" in pod.errors

    def test_leaves_nothing(self, failed: dict[str, Tree]) -> None:
        assert not [name for name, pod in failed.items() if table_of(pod).exists()]
        wait_until(nothing_runs, 20, "end of the listings")


@pytest.fixture
def ended(cluster: Cluster) -> Iterator[Callable[..., None]]:
    """Submits runs, as the submitter does, that end at once. Ray may bring back one that was deleted."""
    jobs = ray_jobs.RayJobs(JOBS_URL, TOKEN)
    submitted: list[str] = []

    def submit(command: str, submission_id: str = "run-1") -> None:
        submitted.append(submission_id)
        jobs.submit(submission_id, command)
        wait_until(lambda: jobs.get(submission_id).is_over, 30, "end of the run")

    yield submit
    for submission_id in [*submitted, run_end.mark_of("run", 1)]:
        with suppress(ray_jobs.NoSuchJob):
            wait_until(lambda id=submission_id: jobs.get(id).is_over, 30, "end of the submission")
            jobs.delete(submission_id)


def test_a_run_that_is_given_up_ends_the_wait_with_its_last_lines(
    ended: Callable[[str], None], discover: Discover
) -> None:
    pod = discover(END_SECONDS="4", RAY_GPUS="8", DISCOVERY_TIMEOUT_SECONDS="3600")
    said = "The run: not submitted yet; it waits for Ray's GPUs: 0 of 8"
    wait_until(lambda: said in pod.errors, 60, "a first look")
    ended("exit 3")
    said = "The run: run-1 has failed, and is to be started again"
    wait_until(lambda: said in pod.errors, 60, "a look at the failure")
    # A submitter may still start it again.
    time.sleep(6)
    assert pod.running
    jobs = ray_jobs.RayJobs(JOBS_URL, TOKEN)
    reason = "run-1 has failed with exit code 3; all restarts are used up"
    run_end.leave_mark(jobs, "run", 1, reason, ["no space left", "x" * 5000])
    assert pod.wait(30) == 9, pod.errors
    end = pod.errors[pod.errors.index("discover_rollouts: ") :]
    # Kubernetes keeps so much of a log's end.
    assert len(end) < 2048
    assert f"the run is given up: {reason}. Its last lines:\nno space left\nxxx" in end
    assert not table_of(pod).exists()
    # Its next attempt takes the mark's meaning, whoever has failed to remove it.
    assert run_end.state_of(jobs, "run").end is not None
    jobs.submit("run-2", "exec sleep 600")
    assert run_end.state_of(jobs, "run").end is None
    jobs.stop("run-2")
    wait_until(lambda: jobs.get("run-2").is_over, 30, "end of the second attempt")
    jobs.delete("run-2")


def test_a_run_that_has_ended_well_ends_the_wait(
    ended: Callable[..., None], discover: Discover
) -> None:
    ended("true", "well-1")
    pod = discover(RAY_NAMESPACE="well", DISCOVERY_TIMEOUT_SECONDS="3600")
    assert pod.wait(60) == 9, pod.errors
    assert "well-1 has succeeded" in pod.errors


def test_looks_tell_who_is_there_now_and_do_not_pile_up(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The recorder looks every minute for days, and Ray forgets no submission by itself."""
    jobs = ray_jobs.RayJobs(JOBS_URL, TOKEN)
    discovery = discover_rollouts.Discovery(
        jobs,
        namespace="looked-at",
        expected=2,
        list_program=str(RUNTIME / "list_rollouts.py"),
        timeout=60,
    )
    with rollouts(cluster, "looked-at", [server(1, port=4001)], tmp_path / "rollouts.log"):
        for _ in range(5):
            listing = discovery.look()
            assert listing.servers == [discover_rollouts.Server(1, "127.0.0.1", 4001)]
            assert listing.missing == {"0": "not registered"}
    # Long enough for Ray to bring back what it would bring back.
    time.sleep(5)
    assert discovery.look().servers == []
    mine = [job for job in jobs.submissions() if "-looked-at-" in job.submission_id]
    # The last, and the one before if Ray has brought it back just now.
    assert [job.is_over for job in mine] in ([True], [True, True])


def test_ready_but_out_of_reach() -> None:
    """Shown without Ray: what a wrong network policy would do."""
    jobs = ray_jobs.RayJobs(JOBS_URL, TOKEN)
    discovery = discover_rollouts.Discovery(
        jobs, namespace="run", expected=2, list_program="", timeout=60
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = free_port()
        reachable = discover_rollouts.Server(0, "127.0.0.1", listener.getsockname()[1])
        servers = [reachable, discover_rollouts.Server(1, "127.0.0.1", port)]
        with pytest.raises(pod.GiveUp) as end:
            discovery.await_reach(servers, patience=1)
        discovery.await_reach([reachable], patience=1)
    assert end.value.code == 6
    assert "1 of 2 rollout servers are ready, but cannot be reached" in str(end.value)
    assert f"vllm_server_1_0 at 127.0.0.1:{port} (Connection refused)" in str(end.value)
    assert "within-training" in str(end.value)


def test_nobody_answers(private_network: None, discover: Discover) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    pod = discover(RAY_JOBS_URL=url, DISCOVERY_TIMEOUT_SECONDS="1")
    assert pod.wait(30) == 3
    assert f"Ray's head does not answer: {url}" in pod.errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"RAY_AUTH_TOKEN": ""}, "RAY_AUTH_TOKEN is not set"),
        ({"RAY_AUTH_TOKEN": "a\nb"}, "no HTTP header can carry"),
        ({"RAY_JOBS_URL": "ray-head-svc:8265"}, "is not an HTTP address"),
        ({"ROLLOUT_SERVERS": "two"}, "ROLLOUT_SERVERS must be a number"),
        ({"ROLLOUT_SERVERS": "1.5"}, "ROLLOUT_SERVERS must be a whole number"),
        ({"ROLLOUT_SERVERS": "0"}, "ROLLOUT_SERVERS must be a whole number of at least 1"),
        ({"DISCOVERY_TIMEOUT_SECONDS": "nan"}, "DISCOVERY_TIMEOUT_SECONDS must be a number"),
        ({"ROLLOUT_TABLE": ""}, "ROLLOUT_TABLE is not set"),
    ],
)
def test_unusable_environment(
    discover: Discover, environment: dict[str, str], complaint: str
) -> None:
    pod = discover(**environment)
    assert pod.wait(30) == 2
    assert complaint in pod.errors
    assert len(pod.errors.splitlines()) == 1


def test_waiting_is_not_silent_and_no_flood(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    progress = pod.Progress()
    for second in range(300):
        progress.say("waiting" if second < 200 else "waiting for another", left=3600 - second)
    lines = capfd.readouterr().err.splitlines()
    # Each call looks at the clock once or twice, so 300 calls last a little over 300 seconds.
    assert 10 <= len(lines) <= 12, lines
    assert lines[0] == "waiting (3600 s left)"
    assert [line for line in lines if "another" in line][0].startswith("waiting for another (3400")
