"""The listing of rollout servers, against a real Ray."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import list_rollouts
import pytest
from support.cluster import TOKEN, Cluster
from support.network import free_port
from support.processes import Tree, wait_until
from support.rollouts import rollouts, server

RUN = "stack-0123456789"

Start = Callable[..., Tree]


@pytest.fixture
def start(cluster: Cluster, runtime: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts the program as Ray's job would."""
    started: list[Tree] = []

    def start(namespace: str, expected: int, wait: float = 0, **environment: str) -> Tree:
        tree = Tree(
            [
                *(sys.executable, runtime / "list_rollouts.py", "--namespace", namespace),
                *("--expected", str(expected), "--wait", str(wait)),
            ],
            log=tmp_path / f"listing-{len(started)}.log",
            env={**cluster.environment, **environment},
        )
        started.append(tree)
        return tree

    yield start
    for tree in started:
        tree.kill()


def result_of(listing: Tree) -> dict[str, Any]:
    """The last line that counts."""
    prefix = list_rollouts.RESULT_PREFIX
    lines = [line for line in listing.output.splitlines() if line.startswith(prefix)]
    assert lines, listing.output + listing.errors
    result: dict[str, Any] = json.loads(lines[-1].removeprefix(prefix))
    return result


@pytest.fixture(scope="class")
def half_ready(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers 0 and 3 are ready, 1 and 4 are not, 2 is not there; the rest serve no policy."""
    servers = [
        server(0, port=4000),
        server(1, once="/never"),
        server(3, port=4003),
        server(4, once="/never", until_then="silence"),
        {"name": "vllm_server_reward_2_0", "address": ["127.0.0.1", 1]},
        {"name": "vllm_server_2_1", "address": ["127.0.0.1", 1]},
    ]
    with rollouts(cluster, RUN, servers, tmp_path_factory.mktemp("rollouts") / "half.log"):
        yield


@pytest.mark.usefixtures("half_ready")
class TestHalfReady:
    def test_names_every_missing_server_and_why(self, start: Start) -> None:
        listing = start(RUN, expected=6)
        assert listing.wait(60) == 3, listing.errors
        result = result_of(listing)
        assert result["problem"] is None
        assert result["servers"] == [
            {"index": 0, "host": "127.0.0.1", "port": 4000},
            {"index": 3, "host": "127.0.0.1", "port": 4003},
        ]
        missing = result["missing"]
        assert set(missing) == {"1", "2", "4", "5"}
        assert "not ready: AssertionError: http server is not launched" in missing["1"]
        assert missing["2"] == missing["5"] == "not registered"
        assert "does not answer yet" in missing["4"]

    def test_more_than_promised_is_an_error_at_once(self, start: Start) -> None:
        listing = start(RUN, expected=2, wait=600)
        assert listing.wait(60) == 5, listing.errors
        problem = result_of(listing)["problem"]
        assert "4 rollout servers are registered, but 2 were promised" in problem
        assert "vllm_server_3_0, vllm_server_4_0" in problem

    def test_another_namespace_does_not_count(self, start: Start) -> None:
        listing = start("stack-fedcba9876", expected=1)
        assert listing.wait(60) == 3, listing.errors
        result = result_of(listing)
        assert result["servers"] == []
        assert RUN in result["missing"]["0"]

    def test_one_name_in_two_namespaces_is_an_error_at_once(
        self, start: Start, cluster: Cluster, tmp_path: Path
    ) -> None:
        with rollouts(cluster, "stack-other", [server(0)], tmp_path / "other.log"):
            listing = start("stack-other", expected=1, wait=600)
            assert listing.wait(60) == 5, listing.errors
        problem = result_of(listing)["problem"]
        assert "vllm_server_0_0" in problem
        assert f"({RUN}, stack-other)" in problem


def test_waits_for_a_late_server(start: Start, cluster: Cluster, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    servers = [server(0, port=4000), server(1, port=4001, once=str(ready))]
    with rollouts(cluster, "late", servers, tmp_path / "late.log"):
        listing = start("late", expected=2, wait=120)
        wait_until(lambda: '{"1": "registered, but not ready' in listing.output, 60, "a first look")
        ready.touch()
        assert listing.wait(60) == 0, listing.errors
    result = result_of(listing)
    assert [found["port"] for found in result["servers"]] == [4000, 4001]
    assert result["missing"] == {}


def test_wrong_token(start: Start) -> None:
    # Ray tries twenty times unless told otherwise, a second apart.
    wrong = {"RAY_AUTH_TOKEN": "wrong-" + "x" * 40, "RAY_NUM_REDIS_GET_RETRIES": "2"}
    listing = start("any", expected=1, **wrong)
    assert listing.wait(60) == 4, listing.errors
    assert "token" in result_of(listing)["missing"]["0"]
    assert TOKEN not in listing.output + listing.errors


def test_nobody_listens(start: Start) -> None:
    begun = time.monotonic()
    listing = start("any", expected=2, wait=600, RAY_ADDRESS=f"127.0.0.1:{free_port()}")
    assert listing.wait(60) == 4, listing.errors
    assert "refused" in result_of(listing)["missing"]["1"]
    assert time.monotonic() - begun < 10


def test_a_peer_that_accepts_and_stays_silent(
    cluster: Cluster, runtime: Path, tmp_path: Path
) -> None:
    """ray.init would wait for ever."""
    program = (
        f"import sys; sys.path.insert(0, {str(runtime)!r}); import list_rollouts;"
        "list_rollouts.CONNECT_SECONDS = 3; sys.exit(list_rollouts.main(sys.argv[1:]))"
    )
    arguments = ["--namespace", "x", "--expected", "1", "--wait", "600"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        listing = Tree(
            [sys.executable, "-c", program, *arguments],
            log=tmp_path / "listing.log",
            env={**cluster.environment, "RAY_ADDRESS": f"127.0.0.1:{silent.getsockname()[1]}"},
        )
        try:
            assert listing.wait(60) == 4
        finally:
            listing.kill()
    assert "has not answered for 3 s" in listing.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--namespace", "x", "--expected", "0", "--wait", "1"], "at least 1"),
        (["--namespace", "x", "--expected", "1"], "--wait"),
        (["--namespace", "x", "--expected", "1", "--wait", "1", "--address", "auto"], "HOST:PORT"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        list_rollouts.main(arguments)
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err
