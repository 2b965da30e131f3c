"""The recorder by itself: what it asks of vLLM, what it passes on, and what it writes."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from discover_rollouts import Discovery, Server
from ray_jobs import RayJobs
from rollout_routes import Routes
from support.backend import Backend
from support.processes import wait_until
from support.recorder import FILE_NAME, Recorder
from trajectories import trial_of

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]

FORMS = [(CHAT, False), (CHAT, True), (COMPLETIONS, False)]
"""Routes, with tools or without; completions have none."""


@dataclass
class Setup:
    recorder: Recorder
    backends: list[Backend]
    stacks: list[ExitStack]
    """What ends each backend."""

    def post(self, path: str, body: dict[str, Any], trial: str, index: int = 0) -> httpx.Response:
        headers = {"x-trajectory-output-path": f"/trials/{trial}/agent/{FILE_NAME}"}
        url = f"{self.recorder.url}/servers/{index}{path}"
        return httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def setup(private_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    backends = [Backend(f"server {index}") for index in range(2)]
    stacks = [ExitStack() for _ in backends]
    for backend, stack in zip(backends, stacks, strict=True):
        stack.enter_context(backend.running())
    recorder = Recorder(tmp_path_factory.mktemp("recorder"), backends)
    try:
        recorder.wait()
        yield Setup(recorder, backends, stacks)
    finally:
        recorder.process.kill()
        for stack in stacks:
            stack.close()


def request_for(path: str, **more: Any) -> dict[str, Any]:
    content = {"messages": [{"role": "user", "content": "hello"}]}
    return {"model": "vllm_model", **(content if path == CHAT else {"prompt": "hello"}), **more}


def chunks_of(answer: httpx.Response) -> list[dict[str, Any]]:
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "tools"), FORMS)
def test_the_file_has_what_was_sampled(setup: Setup, path: str, stream: bool, tools: bool) -> None:
    trial = f"exact-{path.strip('/').replace('/', '-')}-{stream}-{tools}"
    body = request_for(path, stream=stream, temperature=0.7, **({"tools": TOOLS} if tools else {}))
    answer = setup.post(path, body, trial)
    assert answer.status_code == 200, answer.text
    call = setup.backends[0].calls[-1]
    assert call.body == {**body, "return_token_ids": True, "logprobs": True if path == CHAT else 0}
    [record] = setup.recorder.settled(trial, 1)
    [choice] = record["response_body"]["choices"]
    prompts = [record["prompt_token_ids"], choice.get("prompt_token_ids")]
    assert call.prompt_token_ids in prompts
    assert choice["token_ids"] == call.token_ids
    assert choice["logprobs"] == call.logprobs
    assert choice["finish_reason"] == ("tool_calls" if tools else "stop")
    assert record["request_body"] == body
    assert record["outcome"] == "complete" and record["error"] is None
    assert record["server"] == {"index": 0, "address": f"127.0.0.1:{setup.backends[0].port}"}
    assert record["started"] <= record["ended"] <= time.time()
    if tools:
        function = {"name": "weather", "arguments": '{"city": "Paris"}'}
        expected = [{"id": "call-1", "type": "function", "function": function}]
        assert choice["message"]["tool_calls"] == expected
    else:
        assert (choice["message"]["content"] if path == CHAT else choice["text"]) == (
            setup.backends[0].text
        )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "tools"), FORMS)
def test_clients_get_what_they_would_without_a_recorder(
    setup: Setup, path: str, stream: bool, tools: bool
) -> None:
    body = request_for(path, stream=stream, **({"tools": TOOLS} if tools else {}))
    wanted = {"return_token_ids": True, "logprobs": True if path == CHAT else 1}
    direct = f"http://127.0.0.1:{setup.backends[0].port}{path}"
    for asked in ({}, wanted):
        theirs = httpx.post(direct, json={**body, **asked}, trust_env=False)
        ours = setup.post(path, {**body, **asked}, "transparent")
        found = [chunks_of(answer) if stream else [answer.json()] for answer in (theirs, ours)]
        assert without_samples(found[1]) == without_samples(found[0])
        ids = [c["token_ids"] for chunk in found[1] for c in chunk["choices"] if "token_ids" in c]
        assert [bool(each) for each in ids] == [bool(asked)] * len(ids) != []
    assert ours.headers["content-type"] == theirs.headers["content-type"]


def without_samples(answers: list[dict[str, Any]]) -> str:
    """Structure and text, with sampled numbers made equal."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return ["number"] if value and isinstance(value[0], int) else [plain(v) for v in value]
        return 0 if isinstance(value, float) else "t" if str(value)[:1] == "t" else value

    return json.dumps([plain(answer) for answer in answers])


def test_nothing_of_the_client_reaches_the_server_or_the_file(setup: Setup) -> None:
    headers = {
        "Authorization": "Bearer sk-secret",
        "x-api-key": "sk-secret",
        "Cookie": "sk-secret",
        "X-data-parallel-rank": "1",
        "x-trajectory-output-path": "secretless",
    }
    url = f"{setup.recorder.url}/servers/0{CHAT}"
    assert httpx.post(url, json=request_for(CHAT), headers=headers).status_code == 200
    call = setup.backends[0].calls[-1]
    assert "sk-secret" not in json.dumps(call.headers)
    assert "x-data-parallel-rank" not in {name.lower() for name in call.headers}
    assert "sk-secret" not in json.dumps(setup.recorder.settled("secretless", 1))


def test_only_inference_is_passed_on(setup: Setup) -> None:
    url = setup.recorder.url
    for method, path, status in [
        ("GET", "/servers/0/v1/models", 200),
        ("GET", "/servers/0/health", 404),
        ("POST", "/servers/0/v1/load_lora_adapter", 404),
        ("POST", "/servers/0/v1/../sleep", 404),
        ("POST", "/servers/0/v1/responses", 404),
        ("POST", "/servers/2/v1/chat/completions", 404),
        ("POST", "/servers/99999999999/v1/chat/completions", 404),
        ("GET", "/servers/0/v1/chat/completions", 405),
        ("GET", "/healthz", 200),
    ]:
        assert httpx.request(method, f"{url}{path}").status_code == status, path


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": NaN}', b"[" * 100_000, b"\xff"])
def test_an_unusable_request(setup: Setup, body: bytes) -> None:
    before = len(setup.backends[0].calls)
    answer = httpx.post(f"{setup.recorder.url}/servers/0{CHAT}", content=body)
    assert answer.status_code == 400
    assert "not usable" in answer.json()["error"]["message"]
    assert len(setup.backends[0].calls) == before


def test_a_request_of_any_size_fills_no_memory(setup: Setup) -> None:
    answer = setup.post(CHAT, request_for(CHAT, user="x" * 17 * 2**20), "large")
    assert answer.status_code == 413
    answer = setup.post(CHAT, request_for(CHAT, user="x" * 15 * 2**20), "smaller")
    assert answer.status_code == 200


def test_bytes_come_as_they_are_sampled(setup: Setup) -> None:
    backend = setup.backends[0]
    backend.pause = 0.2
    try:
        url = f"{setup.recorder.url}/servers/0{CHAT}"
        with httpx.stream("POST", url, json=request_for(CHAT, stream=True)) as answer:
            times = [time.monotonic() for line in answer.iter_lines() if line.startswith("data")]
    finally:
        backend.pause = 0
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert len(gaps) >= 5 and sorted(gaps)[1] > 0.1, gaps


class TestBrokenCalls:
    def test_dies_before_it_answers(self, setup: Setup) -> None:
        setup.backends[0].faults.append("dies before it answers")
        answer = setup.post(CHAT, request_for(CHAT, stream=True), "early")
        assert answer.status_code == 502
        [record] = setup.recorder.settled("early", 1)
        assert record["outcome"] == "failed" and "broke off" in record["error"]
        assert record["response_body"]["choices"] == []

    def test_dies_in_mid_stream(self, setup: Setup) -> None:
        setup.backends[0].faults.append("dies in mid-stream")
        with pytest.raises(httpx.RemoteProtocolError):
            setup.post(CHAT, request_for(CHAT, stream=True), "middle")
        [record] = setup.recorder.settled("middle", 1)
        assert record["outcome"] == "failed" and "broke off" in record["error"]
        [choice] = record["response_body"]["choices"]
        call = setup.backends[0].calls[-1]
        assert len(call.token_ids) == 2
        assert choice["token_ids"] == call.token_ids
        assert choice["logprobs"] == call.logprobs
        assert choice["message"]["content"] == "the answer "
        assert record["prompt_token_ids"] == call.prompt_token_ids

    def test_aborted_by_the_server(self, setup: Setup) -> None:
        setup.backends[0].faults.append("aborts")
        assert setup.post(CHAT, request_for(CHAT, stream=True), "abort").status_code == 200
        [record] = setup.recorder.settled("abort", 1)
        assert record["outcome"] == "failed"
        assert "ended the generation (abort)" in record["error"]

    def test_aborted_by_the_client(self, setup: Setup) -> None:
        backend = setup.backends[0]
        backend.pause = 0.3
        url = f"{setup.recorder.url}/servers/0{CHAT}"
        headers = {"x-trajectory-output-path": "leaver"}
        try:
            with httpx.stream(
                "POST", url, json=request_for(CHAT, stream=True), headers=headers
            ) as answer:
                next(line for line in answer.iter_lines() if "answer" in line)
            [record] = setup.recorder.settled("leaver", 1)
        finally:
            backend.pause = 0
        assert record["outcome"] == "aborted by client"
        [choice] = record["response_body"]["choices"]
        assert 2 <= len(choice["token_ids"]) < 4
        assert backend.calls[-1].token_ids[: len(choice["token_ids"])] == choice["token_ids"]

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_error_of_the_server_is_passed_on(self, setup: Setup, stream: bool) -> None:
        setup.backends[0].faults.append("refuses")
        trial = f"refused-{stream}"
        answer = setup.post(CHAT, request_for(CHAT, stream=stream), trial)
        assert answer.status_code == 400
        assert answer.json() == {"error": {"message": "prompt too long", "code": 400}}
        [record] = setup.recorder.settled(trial, 1)
        assert (record["outcome"], record["status"]) == ("failed", 400)
        assert "prompt too long" in record["error"]


class TestBound:
    """Claude Code asks for 32000 tokens whatever the prompt has left."""

    @pytest.fixture(scope="class")
    def bounded(
        self, private_network: None, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Setup]:
        backend = Backend("bounded")
        with ExitStack() as stack:
            stack.enter_context(backend.running())
            directory = tmp_path_factory.mktemp("bounded")
            recorder = Recorder(directory, [backend], MOST_CALL_TOKENS="4000")
            stack.callback(lambda: recorder.process.kill())
            recorder.wait()
            yield Setup(recorder, [backend], [stack])

    @pytest.mark.parametrize(
        ("asked", "sent"),
        [
            ({"max_tokens": 32000}, 4000),
            ({"max_completion_tokens": 32000}, 4000),
            ({"max_completion_tokens": 32000, "max_tokens": 100}, 4000),
            ({"max_tokens": 300}, 300),
            ({"max_tokens": None}, 4000),
            ({}, 4000),
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_no_call_samples_more(
        self, bounded: Setup, asked: dict[str, int], sent: int, stream: bool
    ) -> None:
        trial = "-".join([f"bound-{stream}", *(f"{name}-{value}" for name, value in asked.items())])
        answer = bounded.post(CHAT, request_for(CHAT, stream=stream, **asked), trial)
        assert answer.status_code == 200
        body = bounded.backends[0].calls[-1].body
        assert body["max_tokens"] == sent and "max_completion_tokens" not in body
        [record] = bounded.recorder.settled(trial, 1)
        assert record["max_tokens"] == sent

    @pytest.mark.parametrize("stream", [False, True])
    def test_the_end_of_the_window_refuses_no_call(self, bounded: Setup, stream: bool) -> None:
        backend = bounded.backends[0]
        backend.room = 1000
        before = len(backend.calls)
        try:
            trial = f"end-{stream}"
            answer = bounded.post(CHAT, request_for(CHAT, stream=stream, max_tokens=32000), trial)
        finally:
            backend.room = 0
        assert answer.status_code == 200
        bounds = [call.body.get("max_tokens") for call in backend.calls[before:]]
        assert bounds == [4000, None]
        [record] = bounded.recorder.settled(trial, 1)
        assert (record["outcome"], record["max_tokens"]) == ("complete", None)

    def test_completions_keep_the_servers_own_default(self, bounded: Setup) -> None:
        bounded.post(COMPLETIONS, request_for(COMPLETIONS), "completions")
        assert "max_tokens" not in bounded.backends[0].calls[-1].body
        bounded.post(COMPLETIONS, request_for(COMPLETIONS, max_tokens=9000), "completions")
        assert bounded.backends[0].calls[-1].body["max_tokens"] == 4000

    @pytest.mark.parametrize("bound", ["many", True, 1.5])
    def test_what_is_no_number_the_server_refuses(self, bounded: Setup, bound: object) -> None:
        bounded.post(CHAT, request_for(CHAT, max_tokens=bound), "no-number")
        assert bounded.backends[0].calls[-1].body["max_tokens"] == bound


class TestServersThatAreDown:
    def test_a_hung_server_is_refused_after_a_while_and_taken_again(self, setup: Setup) -> None:
        backend = setup.backends[1]
        backend.faults.append("hangs")
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(setup.post, CHAT, request_for(CHAT), "stuck", 1)
            try:
                wait_until(lambda: setup.recorder.is_down(1), 90, "notice of the hung server")
                begun = time.monotonic()
                refused = setup.post(CHAT, request_for(CHAT), "refused", 1)
                assert refused.status_code == 503 and time.monotonic() - begun < 1
                assert "vllm_server_1_0 is down" in refused.json()["error"]["message"]
                # The call that it holds is given back, so that it can go elsewhere.
                assert stuck.result(10).status_code == 503
                assert setup.post(CHAT, request_for(CHAT), "other", 0).status_code == 200
            finally:
                backend.hanging.clear()
        wait_until(lambda: not setup.recorder.is_down(1), 15, "return of the hung server")
        assert setup.post(CHAT, request_for(CHAT), "again", 1).status_code == 200
        [record] = setup.recorder.settled("stuck", 1)
        assert record["outcome"] == "failed" and "hangs" in record["error"]
        assert setup.recorder.records("refused") == []

    def test_a_dead_server_is_refused_at_once_and_taken_again(self, setup: Setup) -> None:
        setup.stacks[1].close()
        try:
            for _ in range(3):
                begun = time.monotonic()
                assert setup.post(CHAT, request_for(CHAT), "dead", 1).status_code == 503
                assert time.monotonic() - begun < 1
            assert setup.recorder.is_down(1)
            assert not setup.recorder.is_down(0)
        finally:
            setup.stacks[1].enter_context(setup.backends[1].running())
        wait_until(lambda: not setup.recorder.is_down(1), 10, "return of the dead server")
        assert setup.post(CHAT, request_for(CHAT), "dead", 1).status_code == 200
        # What reached no server is no record.
        assert len(setup.recorder.settled("dead", 1)) == 1

    def test_a_repeated_call_does_not_come_back_to_a_dead_server(self, setup: Setup) -> None:
        url = f"{setup.recorder.url}/servers/1{CHAT}"
        headers = {"x-swe-rl-call": "repeated", "x-trajectory-output-path": "repeated"}
        setup.stacks[1].close()
        try:
            answers = [
                httpx.post(url, json=request_for(CHAT), headers=headers).status_code
                for _ in range(2)
            ]
        finally:
            setup.stacks[1].enter_context(setup.backends[1].running())
        assert answers == [503, 200]
        [record] = setup.recorder.settled("repeated", 1)
        assert (record["server"]["index"], record["attempt"]) == (0, 2)
        wait_until(lambda: not setup.recorder.is_down(1), 10, "return of the dead server")


class TestInstead:
    """Which server takes the calls of one that is down."""

    TRIALS = [f"task__{number}" for number in range(1000)]

    @pytest.fixture
    def routes(self) -> Routes:
        jobs = RayJobs("http://127.0.0.1:1", "x")
        discovery = Discovery(jobs, namespace="run", expected=4, list_program="", timeout=1)
        return Routes([Server(index, "127.0.0.1", 1) for index in range(4)], discovery)

    def taken(self, routes: Routes) -> list[int]:
        found = [routes.instead(trial) for trial in self.TRIALS]
        return [route.server.index for route in found if route]

    def test_each_as_often_and_for_a_trial_the_same(self, routes: Routes) -> None:
        routes.all[0].is_dead("for a test")
        taken = self.taken(routes)
        assert taken == self.taken(routes)
        assert all(250 < taken.count(index) < 420 for index in (1, 2, 3)), taken

    def test_only_trials_of_a_server_that_is_lost_as_well_move(self, routes: Routes) -> None:
        routes.all[0].is_dead("for a test")
        before = self.taken(routes)
        routes.all[3].is_dead("for a test")
        moved = [then for then, now in zip(before, self.taken(routes), strict=True) if then != now]
        assert set(moved) == {3}

    def test_none_is_up(self, routes: Routes) -> None:
        for route in routes.all:
            route.is_dead("for a test")
        assert routes.instead("x") is None


class TestTrials:
    @pytest.mark.parametrize(
        ("headers", "trial"),
        [
            ({}, "unattributed"),
            ({"x-trajectory-output-path": "/t/p/run/task__a1B2/agent/x.jsonl"}, "task__a1B2"),
            ({"x-trajectory-output-path": "/t/p/run/task__a1B2/x.jsonl"}, "task__a1B2"),
            ({"x-trajectory-output-path": "/t/step_0001/task__a1B2/agent"}, "task__a1B2"),
            ({"x-trajectory-output-path": "job/task-1.2"}, "task-1.2"),
            ({"x-session-id": "5f0c-1"}, "session-5f0c-1"),
            ({"x-claude-code-session-id": "a", "x-session-id": "b"}, "session-a"),
            ({"x-trajectory-output-path": "/", "x-session-id": "b"}, "session-b"),
            ({"x-trajectory-output-path": ".."}, "unattributed"),
            ({"x-trajectory-output-path": "agent"}, "unattributed"),
            ({"x-session-id": "../.."}, "unattributed"),
        ],
    )
    def test_name(self, headers: dict[str, str], trial: str) -> None:
        assert trial_of(headers) == trial

    @pytest.mark.parametrize(
        "path",
        [
            "../../etc/cron.d/x",
            "/etc/passwd/../..",
            "..\\..\\x",
            "a" * 5000,
            "/t/" + "b/" * 500,
            "x\u2028y",
            "a b",
            "%2e%2e%2f",
            "-rf",
            ".hidden",
            "CON:",
            "\u00e4",
            "_" * 300,
            "x.jsonl/..",
            "~root",
            "$(id)",
        ],
    )
    def test_any_path_is_one_safe_name(self, path: str) -> None:
        name = trial_of({"x-trajectory-output-path": path})
        assert 1 <= len(name) <= 128
        assert set(name) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
        )
        assert name[0].isalnum() and name[-1].isalnum()

    def test_names_that_were_reduced_stay_different(self) -> None:
        names = ["a b", "a_b", "a  b", " a b", "a b.", "x" * 129, "x" * 130, "xä", "xö"]
        found = {trial_of({"x-trajectory-output-path": name}) for name in names}
        assert len(found) == len(names)

    def test_traversal_stays_inside(self, setup: Setup) -> None:
        root = setup.recorder.trials.parent
        before = {path for path in root.rglob("*") if setup.recorder.trials not in path.parents}
        for path in ("../../escape/agent/x.jsonl", "/tmp/escape-2", "..", "../trials/../.."):
            url = f"{setup.recorder.url}/servers/0{CHAT}"
            headers = {"x-trajectory-output-path": path}
            assert httpx.post(url, json=request_for(CHAT), headers=headers).status_code == 200
        setup.recorder.settled("escape", 1)
        setup.recorder.settled("escape-2", 1)
        after = {path for path in root.rglob("*") if setup.recorder.trials not in path.parents}
        assert after == before

    def test_a_link_in_a_trial_leads_nowhere(self, setup: Setup, tmp_path: Path) -> None:
        """Files of a trial come out of its sandbox."""
        setup.recorder.trials.mkdir(exist_ok=True)
        victim = tmp_path / "victim"
        victim.write_text("mine\n")
        (setup.recorder.trials / "linked").mkdir()
        (setup.recorder.trials / "linked" / FILE_NAME).symlink_to(victim)
        (setup.recorder.trials / "elsewhere").symlink_to(tmp_path)
        lost = setup.recorder.state["records"]["lost"]
        for trial in ("linked", "elsewhere"):
            assert setup.post(CHAT, request_for(CHAT), trial).status_code == 200
        wait_until(lambda: setup.recorder.state["records"]["lost"] == lost + 2, 10, "two losses")
        assert victim.read_text() == "mine\n"
        assert not (tmp_path / FILE_NAME).exists()
        assert "a call is not recorded" in setup.recorder.process.errors


def test_attempts_at_one_call_are_counted(setup: Setup) -> None:
    url = f"{setup.recorder.url}/servers/0{CHAT}"
    for mark in ("one", "two", "one"):
        headers = {"x-swe-rl-call": mark, "x-trajectory-output-path": "attempts"}
        httpx.post(url, json=request_for(CHAT), headers=headers)
    records = setup.recorder.settled("attempts", 3)
    assert [(record["call"], record["attempt"]) for record in records] == [
        ("one", 1),
        ("two", 1),
        ("one", 2),
    ]


def test_no_line_is_torn_or_lost_among_many_trials(setup: Setup) -> None:
    trials, calls = 24, 12
    for backend in setup.backends:
        backend.tokens = 200
    sampled_before = [len(backend.calls) for backend in setup.backends]

    def one_trial(number: int) -> None:
        for call in range(calls):
            body = request_for(CHAT, stream=call % 2 == 0, user=f"{number}-{call}")
            answer = setup.post(CHAT, body, f"many-{number}", (number + call) % 2)
            assert answer.status_code == 200

    try:
        with ThreadPoolExecutor(trials) as pool:
            list(pool.map(one_trial, range(trials)))
    finally:
        for backend in setup.backends:
            backend.tokens = 0
    by_mark = {
        call.body["user"]: call
        for backend, first in zip(setup.backends, sampled_before, strict=True)
        for call in backend.calls[first:]
    }
    assert len(by_mark) == trials * calls
    for number in range(trials):
        for record in setup.recorder.settled(f"many-{number}", calls):
            call = by_mark.pop(record["request_body"]["user"])
            [choice] = record["response_body"]["choices"]
            assert choice["token_ids"] == call.token_ids and len(call.token_ids) == 200
            assert choice["logprobs"] == call.logprobs
    assert by_mark == {}
    assert setup.recorder.state["records"]["waiting"] == 0


def test_a_disk_that_fails_breaks_no_call(setup: Setup, tmp_path: Path) -> None:
    blocked = tmp_path / "trials"
    blocked.write_text("a file where the directory should be")
    recorder = Recorder(tmp_path / "r", setup.backends, TRAJECTORIES_DIRECTORY=str(blocked))
    try:
        recorder.wait()
        answer = httpx.post(f"{recorder.url}/servers/0{CHAT}", json=request_for(CHAT))
        assert answer.status_code == 200
        wait_until(lambda: recorder.state["records"]["lost"] == 1, 10, "the loss")
        assert recorder.state["records"]["written"] == 0
        assert "not recorded (1 so far)" in recorder.process.errors
        blocked.unlink()
        assert httpx.post(f"{recorder.url}/servers/0{CHAT}", json=request_for(CHAT)).is_success
        wait_until(lambda: recorder.state["records"]["written"] == 1, 10, "a record")
    finally:
        recorder.process.kill()


def test_sigterm_records_what_runs(setup: Setup, tmp_path: Path) -> None:
    """A short call ends well, a long one is cut and recorded as far as it came."""
    backend = Backend("slow", tokens=400)
    with backend.running():
        recorder = Recorder(tmp_path, [backend])
        try:
            recorder.wait()
            url = f"{recorder.url}/servers/0{CHAT}"
            backend.pause = 0.1
            outcomes: list[str] = []

            def long_call() -> None:
                try:
                    httpx.post(url, json=request_for(CHAT, stream=True), timeout=60)
                    outcomes.append("whole")
                except httpx.HTTPError as error:
                    outcomes.append(type(error).__name__)

            thread = threading.Thread(target=long_call)
            thread.start()
            wait_until(lambda: backend.calls and backend.calls[0].token_ids, 10, "first tokens")
            recorder.process.signal(signal.SIGTERM)
            wait_until(lambda: "ending" in recorder.process.errors, 5, "the signal's arrival")
            assert httpx.post(url, json=request_for(CHAT)).status_code == 503
            assert recorder.process.wait(25) == 0
            thread.join()
        finally:
            recorder.process.kill()
    assert outcomes == ["RemoteProtocolError"]
    [record] = recorder.records()
    assert record["outcome"] == "failed" and record["error"] == "the recorder was ended"
    [choice] = record["response_body"]["choices"]
    assert 100 < len(choice["token_ids"]) < 400
    assert choice["token_ids"] == backend.calls[0].token_ids[: len(choice["token_ids"])]


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"RECORDER_PORT": ""}, "RECORDER_PORT is not set"),
        ({"TRAJECTORIES_DIRECTORY": ""}, "TRAJECTORIES_DIRECTORY is not set"),
        ({"ROLLOUT_TABLE": "/nowhere.json"}, "ROLLOUT_TABLE /nowhere.json: [Errno 2]"),
        ({"ROLLOUT_SERVERS": "3"}, "the table has the servers [0, 1], where 3 were promised"),
        ({"RAY_AUTH_TOKEN": "a\nb"}, "no HTTP header can carry"),
    ],
)
def test_unusable_environment(
    setup: Setup, tmp_path: Path, environment: dict[str, str], complaint: str
) -> None:
    recorder = Recorder(tmp_path, setup.backends, **environment)
    try:
        assert recorder.process.wait(30) == 2
        assert complaint in recorder.process.errors
        assert len(recorder.process.errors.splitlines()) == 1
    finally:
        recorder.process.kill()
