"""The check of the policy, against a real Ray and stand-ins for vLLM's OpenAI surface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import ray_jobs
import run_end
from check_proxy import NoRecord, ProxyWay, tokens_of
from support.backend import Backend, Call
from support.chain import Chain, chain
from support.cluster import JOBS_URL, TOKEN, Cluster
from support.processes import Tree, wait_until
from support.programs import discovery_environment, start_program
from support.proxy import SANDBOX_KEY
from support.rollouts import rollouts, server


class WithoutIds(Backend):
    """As vLLM before 0.10.2, which does not know `return_token_ids`."""

    def completion(self, call: Call) -> dict[str, Any]:
        answer = super().completion(call)
        for choice in answer["choices"]:
            choice.pop("token_ids", None)
        return answer


class ExactOnlyWhenAsked(Backend):
    """As a gateway in between that drops what the client of it did not ask for."""

    def completion(self, call: Call) -> dict[str, Any]:
        answer = super().completion(call)
        if "This is request" in str(call.body["messages"]):
            for choice in answer["choices"]:
                choice["logprobs"] = None
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


def test_a_run_that_is_given_up_meanwhile_ends_the_patience(
    cluster: Cluster, tmp_path: Path
) -> None:
    jobs = ray_jobs.RayJobs(JOBS_URL, TOKEN)
    backends = [Backend("shut", faults=["refuses"] * 500)]
    variables = {"ROLLOUT_SERVERS": "1", "ANSWER_SECONDS": "3600", "END_SECONDS": "3"}
    mine = ["run-1", run_end.mark_of("run", 1)]
    try:
        with checking(cluster, backends, tmp_path, **variables) as check:
            wait_until(lambda: "gives no completion yet" in check.errors, 60, "a first refusal")
            jobs.submit("run-1", "exit 3")
            wait_until(lambda: jobs.get("run-1").is_over, 30, "end of the run")
            run_end.leave_mark(jobs, "run", 1, "run-1 has failed", ["no space left"])
            assert check.wait(60) == 9, check.errors
        said = "the run is given up: run-1 has failed. Its last lines:\nno space left"
        assert said in check.errors
    finally:
        for submission_id in mine:
            with suppress(ray_jobs.NoSuchJob):
                wait_until(lambda id=submission_id: jobs.get(id).is_over, 30, "its end")
                jobs.delete(submission_id)


def test_needs_a_model(tmp_path: Path) -> None:
    check = start_program("check_policy.py", discovery_environment(tmp_path), tmp_path / "log")
    try:
        wait_until(lambda: not check.running, 30, "the end")
        assert check.wait(0) == 2
        assert "MODEL is not set" in check.errors
    finally:
        check.kill()


@contextmanager
def checking_chain(
    cluster: Cluster, running: Chain, directory: Path, **variables: str
) -> Iterator[Tree]:
    """The program beside LiteLLM and the recorder, whose servers are those of a run."""
    servers = [server(i, backend.port) for i, backend in enumerate(running.backends)]
    way = {
        "MODEL": "vllm_model",
        "PROXY_URL": running.proxy.url,
        "SANDBOX_API_KEY": SANDBOX_KEY,
        "TRAJECTORIES_DIRECTORY": str(running.recorder.trials),
        **variables,
    }
    with rollouts(cluster, "run", servers, directory / "rollouts.log"):
        environment = discovery_environment(directory, **way)
        check = start_program("check_policy.py", environment, directory / "log")
        try:
            yield check
        finally:
            check.kill()


class TestThroughLiteLlm:
    @pytest.fixture(scope="class")
    def running(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
        with chain(tmp_path_factory.mktemp("chain")) as running:
            yield running

    def test_goes_the_agents_way_and_reads_the_records(
        self, cluster: Cluster, running: Chain, tmp_path: Path
    ) -> None:
        with checking_chain(cluster, running, tmp_path) as check:
            assert check.wait(120) == 0, check.errors
        for surface in ("Anthropic", "OpenAI"):
            assert f"through {surface}'s surface of LiteLLM 4 tokens were sampled" in check.errors
        assert SANDBOX_KEY not in check.errors
        assert len(running.recorder.settled("policy-check", 2)) == 2

    def test_another_key(self, cluster: Cluster, running: Chain, tmp_path: Path) -> None:
        variables = {"SANDBOX_API_KEY": "sk-of-another-stack", "ANSWER_SECONDS": "4"}
        with checking_chain(cluster, running, tmp_path, **variables) as check:
            assert check.wait(120) == 7, check.errors
        last = check.errors.splitlines()[-1]
        assert "LiteLLM, by Anthropic's surface, gives no completion: it answers 401" in last
        assert "sk-of-another-stack" not in check.errors

    def test_a_model_that_litellm_does_not_know(
        self, cluster: Cluster, running: Chain, tmp_path: Path
    ) -> None:
        variables = {"MODEL": "another", "ANSWER_SECONDS": "4"}
        with checking_chain(cluster, running, tmp_path, **variables) as check:
            assert check.wait(120) == 7, check.errors
        assert "it answers 400" in check.errors.splitlines()[-1]

    def test_nothing_listens(self, cluster: Cluster, running: Chain, tmp_path: Path) -> None:
        variables = {"PROXY_URL": "http://127.0.0.1:9", "ANSWER_SECONDS": "4"}
        with checking_chain(cluster, running, tmp_path, **variables) as check:
            assert check.wait(120) == 7, check.errors
        assert "http://127.0.0.1:9 does not answer" in check.errors.splitlines()[-1]


def test_a_way_that_loses_the_log_probabilities(cluster: Cluster, tmp_path: Path) -> None:
    backends = [ExactOnlyWhenAsked(f"server {index}") for index in range(2)]
    with chain(tmp_path / "chain", backends) as running:
        with checking_chain(cluster, running, tmp_path) as check:
            assert check.wait(120) == 8, check.errors
    assert "gave a completion, but its record lacks token ids" in check.errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"outcome": "failed", "error": "the server broke off"}, "says failed: the server broke"),
        ({"token_ids": None}, "lacks token ids"),
        ({"token_ids": []}, "lacks token ids"),
        ({"logprobs": [-0.1]}, "lacks token ids"),
        ({"prompt_token_ids": None}, "lacks token ids"),
    ],
)
def test_records_that_teach_nothing(record: dict[str, Any], said: str) -> None:
    choice = {"token_ids": [1, 2], "logprobs": [-0.1, -0.2], "prompt_token_ids": None}
    whole = {"outcome": "complete", "error": None, "prompt_token_ids": [5]}
    given = {
        **whole,
        **{name: value for name, value in record.items() if name in whole},
        "response_body": {"choices": [{**choice, **{k: v for k, v in record.items() if k in choice}}]},
    }
    if "prompt_token_ids" in record:
        given["response_body"]["choices"][0]["prompt_token_ids"] = record["prompt_token_ids"]
    with pytest.raises(NoRecord, match=said):
        tokens_of(given)


def test_waits_for_a_record_until_the_limit(tmp_path: Path) -> None:
    way = ProxyWay("http://127.0.0.1:9", SANDBOX_KEY, "vllm_model", tmp_path)
    with pytest.raises(NoRecord, match="has no line of it"):
        way.await_record("nonce", 1)
