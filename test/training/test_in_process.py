"""Proxy mode `in_process` without an agent: what comes in by either API, what the servers are asked, what is kept."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from swe_rl_training.rehearsal.model import write_model
from swe_rl_training import recording
from swe_rl_training.in_process import PolicyServer, Sampler, Session, server
from swe_rl_training.in_process.server import NoPort
from swe_rl_training.in_process.session import FILE_NAME
from swe_rl_training.trajectory import stitch
from transformers import PreTrainedTokenizerFast
from verl.experimental.agent_loop.tool_parser import ToolParser
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder
from verl.workers.rollout.replica import TokenOutput

WINDOW, CALL_TOKENS = 2000, 300
PORTS = range(18100, 18108)
COMPACT = '<tool_call>{"name":"bash","arguments":{"command":"ls","timeout":7}}</tool_call>'
"""As no template would write it again."""

TOOL = {
    "name": "bash",
    "description": "Runs a command",
    "parameters": {
        "type": "object",
        "properties": {
            "command": {"type": "string"},
            "timeout": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        },
    },
}
OPENAI_TOOLS = [{"type": "function", "function": TOOL}]
ANTHROPIC_TOOLS = [
    {"name": TOOL["name"], "description": "Runs a command", "input_schema": TOOL["parameters"]}
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerFast:
    return write_model(tmp_path_factory.mktemp("model"))


@dataclass
class Servers:
    """Says what it is told to, whatever it is asked."""

    tokenizer: PreTrainedTokenizerFast
    says: list[str] = field(default_factory=list)
    before: Callable[[], Awaitable[None]] | None = None
    stop_reason: str = "completed"
    steps: list[int] = field(default_factory=lambda: [4])
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def generate(self, request_id: str, **asked: Any) -> TokenOutput:
        self.asked.append({"request_id": request_id, **asked})
        if self.before is not None:
            await self.before()
        said = self.says[min(len(self.asked), len(self.says)) - 1]
        ids = self.tokenizer.encode(said, add_special_tokens=False)
        ids = [*ids, self.tokenizer.eos_token_id][: asked["sampling_params"]["max_tokens"]]
        step = self.steps[min(len(self.asked), len(self.steps)) - 1]
        return TokenOutput(
            token_ids=ids,
            log_probs=[-0.5 - at / 100 for at in range(len(ids))],
            stop_reason=self.stop_reason,
            extra_fields={"min_global_steps": step, "max_global_steps": step},
        )


@dataclass
class Served:
    url: str
    key: str
    session: Session
    servers: Servers
    server: PolicyServer

    async def chat(self, messages: list[dict[str, Any]], **more: Any) -> Any:
        """The completion, or the chunks of a stream."""
        async with AsyncOpenAI(
            base_url=f"{self.url}/v1", api_key=self.key, max_retries=0
        ) as client:
            answer: Any = await client.chat.completions.create(
                model="policy", messages=messages, tools=OPENAI_TOOLS, **more
            )
            return [chunk async for chunk in answer] if more.get("stream") else answer

    async def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        async with httpx.AsyncClient(timeout=20) as client:
            headers = {"x-api-key": key or self.key}
            return await client.post(f"{self.url}{path}", json=body, headers=headers)

    async def message(self, messages: list[dict[str, Any]], **more: Any) -> httpx.Response:
        body = {"model": "claude-x", "max_tokens": 100, "tools": ANTHROPIC_TOOLS, **more}
        return await self.post("/v1/messages", {**body, "messages": messages})


@pytest.fixture
def served(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, private_network: None
) -> Callable[..., Any]:
    @asynccontextmanager
    async def serving(*says: str, **more: Any) -> AsyncIterator[Served]:
        servers = Servers(tokenizer, list(says), **more)
        sampler = Sampler(
            servers=servers,
            tokenizer=tokenizer,
            builder=create_continuous_token_builder(tokenizer, hf_model_type="qwen2"),
            parser=ToolParser.get_tool_parser("hermes", tokenizer),
            parameters={"temperature": 1.0, "top_p": 1.0},
            stops=frozenset([tokenizer.eos_token_id]),
            window=WINDOW,
            call_tokens=CALL_TOKENS,
            priority=3,
        )
        policy = PolicyServer("127.0.0.1", PORTS)
        await policy.start()
        session = Session("trial", tmp_path, sampler)
        try:
            yield Served(policy.url, policy.open(session), session, servers, policy)
        finally:
            await policy.stop()

    return serving


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))  # type: ignore[arg-type]


USER = {"role": "user", "content": "What is here?"}


def test_an_answer_by_the_openai_api(served: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    async def test() -> None:
        async with served(f"Let me look. {COMPACT}") as one:
            answer = await one.chat([USER], temperature=0, max_tokens=77, seed=1)
            choice = answer.choices[0]
            assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look. ")
            [call] = choice.message.tool_calls
            assert call.function.name == "bash"
            assert json.loads(call.function.arguments) == {"command": "ls", "timeout": 7}
            [asked] = one.servers.asked
            assert asked["request_id"] == "trial"
            assert asked["priority"] == 3
            # The agent's own temperature does not count; its bound does.
            assert asked["sampling_params"] == {
                "temperature": 1.0, "top_p": 1.0, "max_tokens": 77, "logprobs": True
            }
            [kept] = one.session.recording.calls
            assert kept.prompt.tolist() == asked["prompt_ids"]
            assert answer.usage.prompt_tokens == len(kept.prompt)
            assert answer.usage.completion_tokens == len(kept.sampled)
            assert tokenizer.decode(kept.sampled.tolist()) == f"Let me look. {COMPACT}<|im_end|>"
            assert kept.versions == (4, 4)

    run(test)


def test_an_answer_by_the_anthropic_api(served: Any) -> None:
    async def test() -> None:
        async with served(f"Let me look. {COMPACT}") as one:
            answer = (await one.message([USER], system="You are brief.")).json()
            assert answer["stop_reason"] == "tool_use"
            text, use = answer["content"]
            assert text["text"] == "Let me look. "
            assert (use["name"], use["input"]) == ("bash", {"command": "ls", "timeout": 7})
            prompt = one.session.sampler.tokenizer.decode(one.servers.asked[0]["prompt_ids"])
            assert "<|im_start|>system\nYou are brief.<|im_end|>" in prompt

    run(test)


def test_streams_say_the_same_by_either_api(served: Any) -> None:
    async def test() -> None:
        async with served(f"Let me look. {COMPACT}") as one:
            chunks = await one.chat([USER], stream=True)
            deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
            assert "".join(delta.content or "" for delta in deltas) == "Let me look. "
            calls = [call for delta in deltas for call in delta.tool_calls or []]
            assert [call.function.name for call in calls] == ["bash"]
            assert json.loads(calls[0].function.arguments) == {"command": "ls", "timeout": 7}
            answer = await one.message([USER], stream=True)
            events = _events(answer.text)
            assert [kind for kind, _ in events][0] == "message_start"
            assert [kind for kind, _ in events][-1] == "message_stop"
            parts = [event["delta"] for kind, event in events if kind == "content_block_delta"]
            assert parts[0] == {"type": "text_delta", "text": "Let me look. "}
            assert json.loads(parts[1]["partial_json"]) == {"command": "ls", "timeout": 7}

    run(test)


def test_sampled_tokens_stay_as_they_were_sampled(served: Any) -> None:
    async def test() -> None:
        async with served(f"Let me look. {COMPACT}", "Nothing. ", steps=[4, 5]) as one:
            messages: list[dict[str, Any]] = [USER]
            messages += await _turn(one, messages)
            messages += [{"role": "user", "content": "Are you sure?"}]
            await one.chat(messages)
            calls = one.session.recording.calls
            first, second, third = (call.prompt.tolist() for call in calls)
            assert second[: len(first) + len(calls[0].sampled)] == first + calls[0].sampled.tolist()
            assert third[: len(second)] == second
            thread = stitch(calls, prompt_length=1000, response_length=1000)
            assert thread.rewritten == 0
            assert sum(thread.response_mask) == sum(len(call.sampled) for call in calls)
            assert thread.versions == (4, 5)

    run(test)


async def _turn(one: Served, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answer and what the tool says, as agents send them back, and the next answer."""
    answer = (await one.chat(messages)).choices[0].message
    back = answer.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True)
    # Agents trim what they got.
    back["content"] = back["content"].strip()
    tool = {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "a.py"}
    last = (await one.chat([*messages, back, tool])).choices[0].message
    return [back, tool, {"role": "assistant", "content": last.content}]


@pytest.mark.parametrize(
    "change",
    [
        lambda turn: turn[0].update(content="I did not look."),
        lambda turn: turn[0]["tool_calls"][0]["function"].update(arguments='{"command": "pwd"}'),
        lambda turn: turn.insert(0, {"role": "assistant", "content": "a summary"}),
    ],
)
def test_a_history_that_was_rewritten_is_rendered_anew(
    served: Any, tokenizer: PreTrainedTokenizerFast, change: Callable[[list[Any]], None]
) -> None:
    async def test() -> None:
        async with served(f"Let me look. {COMPACT}", "Nothing.") as one:
            turn = await _turn(one, [USER])
            change(turn)
            await one.chat([USER, *turn, {"role": "user", "content": "And now?"}])
            prompt = one.servers.asked[-1]["prompt_ids"]
            assert COMPACT not in tokenizer.decode(prompt)

    run(test)


def test_what_was_said_is_in_a_file_as_the_recorder_writes_it(served: Any, tmp_path: Path) -> None:
    async def test() -> None:
        async with served(f"Let me look. {COMPACT}", "Nothing.") as one:
            await _turn(one, [USER])
            read = recording.read(tmp_path / FILE_NAME)
            assert [call.sampled for call in read.calls] == [
                call.sampled for call in one.session.recording.calls
            ]
            assert [call.logprobs for call in read.calls] == [
                call.logprobs for call in one.session.recording.calls
            ]
            assert not read.unusable

    run(test)


def test_an_answer_that_is_cut_at_its_bound_is_no_beginning(served: Any) -> None:
    async def test() -> None:
        async with served("one two three four five six seven eight", "nine") as one:
            answer = await one.chat([USER], max_tokens=3)
            assert answer.choices[0].finish_reason == "length"
            said = {"role": "assistant", "content": answer.choices[0].message.content}
            await one.chat([USER, said, {"role": "user", "content": "Go on."}])
            first, second = one.servers.asked
            end = one.session.sampler.tokenizer.eos_token_id
            start = len(first["prompt_ids"])
            # The template closes the answer, which the policy had not.
            assert end in second["prompt_ids"][start : start + 10]

    run(test)


def test_a_call_never_samples_more_than_its_bound_or_the_window(served: Any) -> None:
    async def test() -> None:
        async with served("x") as one:
            await one.chat([USER], max_tokens=32000)
            await one.chat([{"role": "user", "content": "word " * 900}])
            bounds = [asked["sampling_params"]["max_tokens"] for asked in one.servers.asked]
            assert bounds[0] == CALL_TOKENS
            assert bounds[1] == WINDOW - len(one.servers.asked[1]["prompt_ids"]) < CALL_TOKENS

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_over_the_window_is_refused(served: Any, stream: bool) -> None:
    async def test() -> None:
        async with served("x") as one:
            long = [{"role": "user", "content": "word " * 3000}]
            by_anthropic = await one.message(long, stream=stream)
            assert by_anthropic.status_code == 400
            # In the words by which Claude Code knows that it must compact.
            assert by_anthropic.json()["error"]["message"].startswith("prompt is too long: ")
            body = {"model": "m", "messages": long, "stream": stream}
            by_openai = await one.post("/v1/chat/completions", body)
            assert by_openai.status_code == 400
            assert by_openai.json()["error"]["code"] == "context_length_exceeded"
            assert one.servers.asked == []

    run(test)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"messages": [USER], "n": 2}, "n must be 1"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "text alone"),
        ({"messages": "hello"}, "no JSON object with messages"),
        ({}, "no JSON object with messages"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    served: Any, body: dict[str, Any], says: str
) -> None:
    async def test() -> None:
        async with served("x") as one:
            answer = await one.post("/v1/chat/completions", {"model": "m", **body})
            assert answer.status_code == 400
            assert says in answer.json()["error"]["message"]
            assert one.servers.asked == []

    run(test)


def test_only_the_key_of_an_open_trial_is_answered(served: Any) -> None:
    async def test() -> None:
        async with served("x") as one:
            body = {"model": "m", "messages": [USER], "max_tokens": 5}
            for path in ("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"):
                assert (await one.post(path, body, key="sk-other")).status_code == 401
                assert (await one.post(path, body)).status_code == 200
            await one.server.close(one.key)
            assert (await one.post("/v1/messages", body)).status_code == 401

    run(test)


def test_tokens_are_counted_without_a_server(served: Any) -> None:
    async def test() -> None:
        async with served("x") as one:
            body = {"model": "m", "messages": [USER], "tools": ANTHROPIC_TOOLS}
            counted = (await one.post("/v1/messages/count_tokens", body)).json()["input_tokens"]
            assert one.servers.asked == []
            await one.message([USER])
            assert counted == len(one.servers.asked[0]["prompt_ids"])

    run(test)


def test_a_server_that_fails_or_breaks_off_may_be_asked_again(served: Any) -> None:
    async def fail() -> None:
        raise RuntimeError("actor died at 10.0.0.7")

    async def test() -> None:
        async with served("one two", before=fail) as one:
            for stream in (False, True):
                answer = await one.message([USER], stream=stream)
                assert answer.status_code == 503
                assert "10.0.0.7" not in answer.text
        async with served("one two", stop_reason="aborted") as one:
            assert (await one.message([USER])).status_code == 503
            assert one.session.recording.calls == []
            assert one.session.recording.unusable == {"aborted by server": 1}

    run(test)


def test_an_agent_that_hangs_up_ends_its_call(served: Any) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def test() -> None:
        async with served("one", before=wait) as one:
            for stream in (False, True):
                call = asyncio.create_task(one.message([USER], stream=stream))
                await begun.wait()
                call.cancel()
                await asyncio.wait_for(ended.wait(), 10)
                begun.clear()
                ended.clear()
            assert one.session.recording.unusable == {"aborted by client": 2}

    run(test)


def test_closing_a_trial_ends_its_calls(served: Any) -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def test() -> None:
        async with served("one", before=wait) as one:
            call = asyncio.create_task(one.message([USER]))
            await begun.wait()
            await one.server.close(one.key)
            with pytest.raises(httpx.HTTPError):
                await call

    run(test)


def test_a_long_answer_is_announced_by_pings(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 0.2)

    async def test() -> None:
        async with served("one two", before=lambda: asyncio.sleep(1)) as one:
            answer = await one.message([USER], stream=True)
            kinds = [kind for kind, _ in _events(answer.text)]
            assert kinds.count("ping") >= 3
            assert kinds[-1] == "message_stop"
            text = "".join(
                chunk.choices[0].delta.content or ""
                for chunk in await one.chat([USER], stream=True)
                if chunk.choices
            )
            assert text == "one two"

    run(test)


def test_a_failure_after_pings_is_an_event(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 0.2)

    async def fail() -> None:
        await asyncio.sleep(0.7)
        raise RuntimeError("gone")

    async def test() -> None:
        async with served("one", before=fail) as one:
            answer = await one.message([USER], stream=True)
            assert answer.status_code == 200
            assert _events(answer.text)[-1][1]["error"]["type"] == "overloaded_error"

    run(test)


def test_workers_take_one_port_each(served: Any, private_network: None) -> None:
    async def test() -> None:
        first, second = (PolicyServer("127.0.0.1", range(18200, 18202)) for _ in range(2))
        await first.start()
        await second.start()
        assert (first.url, second.url) == ("http://127.0.0.1:18200", "http://127.0.0.1:18201")
        third = PolicyServer("127.0.0.1", range(18200, 18202))
        with pytest.raises(NoPort, match="no port of 18200-18201 is free on 127.0.0.1"):
            await third.start()
        await first.stop()
        await third.start()
        assert third.url == first.url
        with socket.create_connection(("127.0.0.1", 18200), timeout=5):
            pass
        for one in (second, third):
            await one.stop()

    run(test)


def _events(text: str) -> list[tuple[str, dict[str, Any]]]:
    events = []
    for block in filter(None, text.split("\n\n")):
        kind, data = block.split("\n", 1)
        events.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events
