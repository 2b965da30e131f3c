"""What the file says is what was sampled: through a real LiteLLM, on both of its surfaces."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from support.backend import Call
from support.chain import Chain, chain
from support.processes import wait_until
from support.proxy import MASTER_KEY, SANDBOX_KEY, trial_key
from support.recorder import FILE_NAME

CHAT, MESSAGES, COMPLETIONS = "/v1/chat/completions", "/v1/messages", "/v1/completions"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: dict[str, list[dict[str, Any]]] = {
    CHAT: [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
    MESSAGES: [{"name": "weather", "input_schema": SCHEMA}],
}


@pytest.fixture(scope="module")
def running(private_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with chain(tmp_path_factory.mktemp("recording")) as running:
        yield running
        everything = "".join(
            path.read_text() for path in running.recorder.trials.rglob("*") if path.is_file()
        )
        assert len(everything) > 10_000
        for key in (SANDBOX_KEY, MASTER_KEY):
            assert key not in everything + running.recorder.process.errors


@pytest.fixture
def client(running: Chain) -> Iterator[httpx.Client]:
    with running.proxy.client() as client:
        client.timeout = httpx.Timeout(90)
        yield client


def body_for(path: str, *, stream: bool = False, tools: bool = False) -> dict[str, Any]:
    if path == COMPLETIONS:
        return {"model": "vllm_model", "prompt": "hello", "stream": stream}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "stream": stream}
    if path == MESSAGES:
        body |= {"model": "claude-sonnet-4-5", "max_tokens": 50}
    else:
        body["model"] = "vllm_model"
    return {**body, **({"tools": TOOLS[path]} if tools else {})}


def of_trial(trial: str) -> dict[str, str]:
    """As the agents' adapters send it."""
    return {"x-trajectory-output-path": f"/w/trials/run/{trial}/agent/{FILE_NAME}"}


def await_both(running: Chain, client: httpx.Client) -> None:
    """Waits until LiteLLM asks both servers again: it leaves one that failed out for 30 s."""
    before = running.calls()

    def asked() -> bool:
        client.post(MESSAGES, json=body_for(MESSAGES))
        return all(now > first for now, first in zip(running.calls(), before, strict=True))

    wait_until(asked, 60, "both servers in use")


def the_record(running: Chain, trial: str) -> dict[str, Any]:
    [record] = running.recorder.settled(trial, 1)
    return record


def last_call(running: Chain, record: dict[str, Any]) -> Call:
    return running.backends[record["server"]["index"]].calls[-1]


def assert_exact(record: dict[str, Any], call: Call) -> None:
    [choice] = record["response_body"]["choices"]
    assert choice["token_ids"] == call.token_ids != []
    assert choice["logprobs"] == call.logprobs
    prompt = record["prompt_token_ids"] or choice["prompt_token_ids"]
    assert prompt == call.prompt_token_ids


@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_both_surfaces(
    running: Chain, client: httpx.Client, path: str, stream: bool, tools: bool
) -> None:
    trial = f"surface-{path[4:8]}-{stream}-{tools}"
    body = body_for(path, stream=stream, tools=tools)
    answer = client.post(path, json=body, headers=of_trial(trial))
    assert answer.status_code == 200, answer.text
    # The client has got the text or the tool call, and nothing of what was added.
    assert ("weather" if tools else "answer") in answer.text
    assert "token_ids" not in answer.text.replace('"token_ids":null', "").replace(
        '"prompt_token_ids":null', ""
    ), answer.text
    record = the_record(running, trial)
    assert record["outcome"] == "complete"
    assert_exact(record, last_call(running, record))
    [choice] = record["response_body"]["choices"]
    assert record["request_body"]["messages"] == [{"role": "user", "content": "hello"}]
    if tools:
        assert record["request_body"]["tools"][0]["function"]["name"] == "weather"
        assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Paris"}'
        assert choice["finish_reason"] == "tool_calls"
    else:
        name = running.backends[record["server"]["index"]].text
        assert choice["message"]["content"] == name


@pytest.mark.parametrize("stream", [False, True])
def test_completions(running: Chain, client: httpx.Client, stream: bool) -> None:
    trial = f"completions-{stream}"
    body = body_for(COMPLETIONS, stream=stream)
    assert client.post(COMPLETIONS, json=body, headers=of_trial(trial)).status_code == 200
    record = the_record(running, trial)
    assert_exact(record, last_call(running, record))


@pytest.mark.parametrize("stream", [False, True])
def test_claude_code_near_the_end_of_its_window(
    running: Chain, client: httpx.Client, stream: bool
) -> None:
    """It asks for 32000 tokens with every call; vLLM refuses what does not fit behind the prompt."""
    for backend in running.backends:
        backend.room = 1000
    trial = f"end-of-window-{stream}"
    body = {**body_for(MESSAGES, stream=stream), "max_tokens": 32000}
    try:
        answer = client.post(MESSAGES, json=body, headers=of_trial(trial))
    finally:
        for backend in running.backends:
            backend.room = 0
    assert answer.status_code == 200, answer.text
    record = the_record(running, trial)
    assert (record["outcome"], record["max_tokens"]) == ("complete", None)
    assert_exact(record, last_call(running, record))


class TestWhoseCall:
    @pytest.mark.parametrize("path", [CHAT, MESSAGES])
    @pytest.mark.parametrize("header", ["x-claude-code-session-id", "x-session-id"])
    def test_session_header(
        self, running: Chain, client: httpx.Client, path: str, header: str
    ) -> None:
        session = f"{header[2:4]}{path[4:6]}-0000"
        headers = {header: session}
        assert client.post(path, json=body_for(path), headers=headers).status_code == 200
        the_record(running, f"session-{session}")

    @pytest.mark.parametrize(
        ("user", "session"),
        [
            (f"user_{'a' * 64}_account__session_5f0c2c1e-0000", "5f0c2c1e-0000"),
            (json.dumps({"device_id": "d", "session_id": "7a0c2c1e-0000"}), "7a0c2c1e-0000"),
        ],
    )
    def test_session_of_claude_code(
        self, running: Chain, client: httpx.Client, user: str, session: str
    ) -> None:
        body = {**body_for(MESSAGES, stream=True), "metadata": {"user_id": user}}
        assert client.post(MESSAGES, json=body).status_code == 200
        the_record(running, f"session-{session}")

    def test_traversal(self, running: Chain, client: httpx.Client) -> None:
        headers = {"x-trajectory-output-path": "/../../../../tmp/../evil dir/agent/x.jsonl"}
        assert client.post(CHAT, json=body_for(CHAT), headers=headers).status_code == 200
        wait_until(lambda: list(running.recorder.trials.glob("evil_dir-*")), 10, "the directory")

    def test_headers_in_the_body(self, running: Chain, client: httpx.Client) -> None:
        """A client that names headers there speaks to the recorder no other way."""
        for name in ("extra_headers", "headers"):
            body = {**body_for(CHAT), name: {**of_trial("forged"), "x-swe-rl-call": "forged"}}
            client.post(CHAT, json=body, headers=of_trial(f"own-{name}"))
        assert running.recorder.records("forged") == []
        calls = [record["call"] for record in running.recorder.records()]
        assert calls and "forged" not in calls


class TestRetries:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("path", [CHAT, MESSAGES])
    def test_a_server_that_dies_before_it_answers(
        self, running: Chain, client: httpx.Client, path: str, stream: bool
    ) -> None:
        trial = f"dies-{path[4:8]}-{stream}"
        for backend in running.backends:
            backend.faults = ["dies before it answers"]
        answer = client.post(path, json=body_for(path, stream=stream), headers=of_trial(trial))
        assert answer.status_code == 200, answer.text
        wait_until(
            lambda: running.recorder.records(trial)
            and running.recorder.records(trial)[-1]["outcome"] == "complete",
            10,
            "the record",
        )
        *failed, complete = running.recorder.records(trial)
        assert 1 <= len(failed) <= 2
        assert {record["outcome"] for record in failed} == {"failed"}
        assert [record["attempt"] for record in (*failed, complete)] == [
            *range(1, len(failed) + 2)
        ]
        assert len({record["call"] for record in (*failed, complete)}) == 1
        assert all(record["response_body"]["choices"] == [] for record in failed)
        assert_exact(complete, last_call(running, complete))
        for backend in running.backends:
            backend.faults = []

    @pytest.mark.parametrize("path", [CHAT, MESSAGES])
    def test_a_server_that_dies_in_mid_stream(
        self, running: Chain, client: httpx.Client, path: str
    ) -> None:
        """What it sampled until then is kept, and whatever came after it is a record of its own."""
        trial = f"middle-{path[4:8]}"
        before = running.calls()
        for backend in running.backends:
            backend.faults = ["dies in mid-stream"]
        try:
            client.post(path, json=body_for(path, stream=True), headers=of_trial(trial))
        except httpx.HTTPError:
            pass
        finally:
            for backend in running.backends:
                backend.faults = []
        calls = [
            (index, call)
            for index, (backend, first) in enumerate(zip(running.backends, before, strict=True))
            for call in backend.calls[first:]
        ]
        records = running.recorder.settled(trial, len(calls))
        broken = [record for record in records if record["outcome"] == "failed"]
        assert broken
        for record in broken:
            [choice] = record["response_body"]["choices"]
            assert "broke off" in record["error"]
            sampled = [call for _, call in calls if call.token_ids == choice["token_ids"]]
            assert [call.logprobs for call in sampled] == [choice["logprobs"]]
            assert choice["message"]["content"] == "the answer "

    def test_a_server_that_hangs(self, running: Chain, client: httpx.Client) -> None:
        await_both(running, client)
        for backend in running.backends:
            backend.faults = ["hangs"]
        # The first one that is asked hangs, and the other must not.
        first = running.calls()
        with ThreadPoolExecutor(1) as pool:
            answering = pool.submit(
                client.post, MESSAGES, json=body_for(MESSAGES), headers=of_trial("hangs")
            )
            wait_until(lambda: running.calls() != first, 10, "the call")
            for backend in running.backends:
                backend.faults = []
            [hung] = [b for b, n in zip(running.backends, first, strict=True) if len(b.calls) > n]
            try:
                answer = answering.result(80)
                assert answer.status_code == 200, answer.text
            finally:
                hung.hanging.clear()
        failed, complete = running.recorder.settled("hangs", 2)
        assert failed["outcome"] == "failed" and "hangs" in failed["error"]
        assert running.backends[failed["server"]["index"]] is hung
        assert running.backends[complete["server"]["index"]] is not hung
        assert_exact(complete, last_call(running, complete))
        assert failed["call"] == complete["call"]
        assert failed["attempt"] < complete["attempt"]
        wait_until(
            lambda: not any(running.recorder.is_down(i) for i in range(2)), 20, "its return"
        )

    def test_all_servers_down_and_back(self, running: Chain, client: httpx.Client) -> None:
        for index in range(2):
            running.end_backend(index)
        try:
            for path in (CHAT, MESSAGES):
                answer = client.post(path, json=body_for(path), headers=of_trial("outage"))
                assert answer.status_code in (429, 500, 502, 503), answer.text
        finally:
            for index in range(2):
                running.start_backend(index)
        wait_until(
            lambda: not any(running.recorder.is_down(i) for i in range(2)), 20, "their return"
        )

        def answers() -> bool:
            body = body_for(MESSAGES)
            return client.post(MESSAGES, json=body, headers=of_trial("outage")).is_success

        # LiteLLM itself keeps failed servers out for a while.
        wait_until(answers, 45, "an answer after the outage", pause=2)
        record = the_record(running, "outage")
        assert_exact(record, last_call(running, record))

    def test_the_recorder_ends_and_comes_back(
        self, running: Chain, client: httpx.Client
    ) -> None:
        wait_until(
            lambda: client.post(CHAT, json=body_for(CHAT), headers=of_trial("r")).is_success,
            45,
            "an answer before",
            pause=2,
        )
        running.recorder.process.signal(signal.SIGTERM)
        assert running.recorder.process.wait(25) == 0
        before = len(running.recorder.records("r"))
        assert not client.post(CHAT, json=body_for(CHAT), headers=of_trial("r")).is_success
        running.recorder.start()
        running.recorder.wait()
        wait_until(
            lambda: client.post(CHAT, json=body_for(CHAT), headers=of_trial("r")).is_success,
            45,
            "an answer after",
            pause=2,
        )
        running.recorder.settled("r", before + 1)


def test_many_trials_at_once(running: Chain, client: httpx.Client) -> None:
    trials, turns = 16, 6
    first = running.calls()

    def one(trial: int) -> int:
        with running.proxy.client() as own:
            for turn in range(turns):
                path = (CHAT, MESSAGES)[turn % 2]
                body = body_for(path, stream=turn % 3 > 0, tools=turn % 2 == 1)
                headers = {**of_trial(f"many-{trial}"), "x-session-id": str(trial)}
                answer = own.post(path, json=body, headers=headers)
                assert answer.status_code == 200, answer.text
        return trial

    with ThreadPoolExecutor(trials) as pool:
        assert sorted(pool.map(one, range(trials))) == list(range(trials))
    sampled = {
        tuple(call.token_ids): call
        for backend, number in zip(running.backends, first, strict=True)
        for call in backend.calls[number:]
    }
    assert len(sampled) == trials * turns
    for trial in range(trials):
        for record in running.recorder.settled(f"many-{trial}", turns):
            assert record["outcome"] == "complete" and record["attempt"] == 1
            [choice] = record["response_body"]["choices"]
            assert_exact(record, sampled.pop(tuple(choice["token_ids"])))
    assert sampled == {}


@pytest.mark.parametrize("surface", [CHAT, MESSAGES])
def test_the_key_of_a_trial_names_it_whatever_the_agent_says(
    running: Chain, surface: str
) -> None:
    trial = f"keyed__{surface.count('/')}{len(surface)}"
    forged = {"x-trajectory-output-path": "/trials/somebody-else", "x-session-id": "other"}
    body = {
        "model": "vllm_model",
        "messages": [{"role": "user", "content": "Whose call is this?"}],
        "max_tokens": 64,
        "metadata": {"user_id": "user_1_account__session_abc", "swe-rl-trial": "somebody-else"},
    }
    with running.proxy.client(trial_key(SANDBOX_KEY, trial)) as client:
        answer = client.post(surface, json=body, headers=forged)
    assert answer.status_code == 200, answer.text
    [record] = running.recorder.settled(trial, 1)
    assert record["outcome"] == "complete"
    assert not (running.recorder.trials / "somebody-else").exists()
