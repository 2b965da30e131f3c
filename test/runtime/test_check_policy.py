"""The check of the policy, against a real Ray and stand-ins for vLLM's OpenAI surface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.backend import Backend, Call
from support.cluster import TOKEN, Cluster
from support.processes import Tree, wait_until
from support.programs import discovery_environment, start_program
from support.rollouts import rollouts, server


class WithoutIds(Backend):
    """As vLLM before 0.10.2, which does not know `return_token_ids`."""

    def completion(self, call: Call) -> dict[str, Any]:
        answer = super().completion(call)
        for choice in answer["choices"]:
            choice.pop("token_ids", None)
        return answer


@contextmanager
def checking(
    cluster: Cluster, backends: list[Backend], directory: Path, **variables: str
) -> Iterator[Tree]:
    """The program beside a run whose servers are the backends."""
    with ExitStack() as stack:
        for backend in backends:
            stack.enter_context(backend.running())
        servers = [server(i, backend.port) for i, backend in enumerate(backends)]
        stack.enter_context(rollouts(cluster, "run", servers, directory / "rollouts.log"))
        environment = discovery_environment(directory, MODEL="vllm_model", **variables)
        tree = start_program("check_policy.py", environment, directory / "log")
        stack.callback(tree.kill)
        yield tree


def test_asks_every_server_for_tokens_that_can_be_trained_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    backends = [Backend("a"), Backend("b", faults=["dies before it answers"])]
    with checking(cluster, backends, tmp_path) as check:
        assert check.wait(120) == 0, check.errors
    assert "the policy is served by 2 rollout servers" in check.errors
    assert TOKEN not in check.errors
    for backend in backends:
        call = backend.calls[-1]
        assert call.body["model"] == "vllm_model"
        assert (call.body["return_token_ids"], call.body["logprobs"]) == (True, True)


def test_names_the_servers_that_are_missing(cluster: Cluster, tmp_path: Path) -> None:
    variables = {"ROLLOUT_SERVERS": "3", "DISCOVERY_TIMEOUT_SECONDS": "25"}
    with checking(cluster, [Backend("a"), Backend("b")], tmp_path, **variables) as check:
        assert check.wait(90) == 3, check.errors
    last = check.errors.splitlines()[-1]
    assert "2 of 3 rollout servers are ready; missing vllm_server_2_0: not registered" in last


@pytest.mark.parametrize(
    ("backend", "code", "said"),
    [
        (WithoutIds("old"), 8, "answers without token ids"),
        (Backend("shut", faults=["refuses"] * 50), 7, "it answers 400: "),
    ],
    ids=["without token ids", "refuses"],
)
def test_a_server_that_cannot_be_trained_on(
    cluster: Cluster, tmp_path: Path, backend: Backend, code: int, said: str
) -> None:
    variables = {"ROLLOUT_SERVERS": "1", "ANSWER_SECONDS": "4"}
    with checking(cluster, [backend], tmp_path, **variables) as check:
        assert check.wait(90) == code, check.errors
    assert said in check.errors.splitlines()[-1]
    assert "vllm_server_0_0" in check.errors


def test_needs_a_model(tmp_path: Path) -> None:
    check = start_program("check_policy.py", discovery_environment(tmp_path), tmp_path / "log")
    try:
        wait_until(lambda: not check.running, 30, "the end")
        assert check.wait(0) == 2
        assert "MODEL is not set" in check.errors
    finally:
        check.kill()
