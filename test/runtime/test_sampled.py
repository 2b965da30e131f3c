"""What is kept of an answer and what is passed on, without a network."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from sampled import CHAT, COMPLETIONS, Sampled, parse


def event(value: object) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def chunk(index: int, token: int, delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = [{"token": "t", "logprob": -token / 7}]
    choice = {"index": index, "delta": delta, "token_ids": [token], "finish_reason": None}
    return {"id": "c", "choices": [{**choice, "logprobs": {"content": content}, **more}]}


def chunks_of(passed: bytes) -> list[dict[str, Any]]:
    events = [line[6:] for line in passed.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(text) for text in events if text != "[DONE]"]


STREAM = b"".join(
    [
        b": a comment\r\n\r\n",
        event({**chunk(0, 0, {"role": "assistant", "content": ""}), "prompt_token_ids": [5, 6]}),
        event(chunk(0, 1, {"content": "wörld \u2028"})),
        event(chunk(1, 2, {"content": "b"})),
        event(chunk(0, 3, {})),
        event(chunk(1, 4, {"content": ""}, finish_reason="stop")),
        event(chunk(0, 5, {"content": "!"}, finish_reason="length")),
        event({"id": "c", "choices": [], "usage": {"completion_tokens": 6}}),
        b"data: [DONE]\n\n",
    ]
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 100_000])
def test_two_answers_in_one_stream_however_it_is_cut(size: int) -> None:
    sampled = Sampled(CHAT, {"n": 2})
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    passed = b"".join(sampled.stream(piece) for piece in pieces)
    sampled.end()
    assert sampled.error is None and sampled.is_exact
    record = sampled.as_json()
    assert record["prompt_token_ids"] == [5, 6]
    first, second = record["response_body"]["choices"]
    assert first["token_ids"] == [0, 1, 3, 5]
    assert first["logprobs"] == [0.0, -1 / 7, -3 / 7, -5 / 7]
    assert first["message"]["content"] == "wörld \u2028!"
    assert (first["finish_reason"], second["finish_reason"]) == ("length", "stop")
    assert second["token_ids"] == [2, 4]
    assert record["response_body"]["usage"] == {"completion_tokens": 6}
    # The comment and the end stay, and the chunk that was there only for its token does not.
    assert passed.startswith(b": a comment\r\n") and passed.endswith(b"data: [DONE]\n\n")
    assert len(chunks_of(passed)) == 6
    choices = [choice for each in chunks_of(passed) for choice in each["choices"]]
    assert all(choice["token_ids"] is choice["logprobs"] is None for choice in choices)


@pytest.mark.parametrize("wish", [{"return_token_ids": True}, {"logprobs": True}])
def test_who_asks_gets_every_chunk(wish: dict[str, bool]) -> None:
    sampled = Sampled(CHAT, wish)
    assert sampled.request == {"return_token_ids": True, "logprobs": True}
    choices = [c for each in chunks_of(sampled.stream(STREAM)) for c in each["choices"]]
    assert len(choices) == 6
    assert all((c["token_ids"] is not None) == ("return_token_ids" in wish) for c in choices)
    assert all((c["logprobs"] is not None) == ("logprobs" in wish) for c in choices)


def test_what_completions_ask_for() -> None:
    assert Sampled(COMPLETIONS, {}).request == {"return_token_ids": True, "logprobs": 0}
    assert Sampled(COMPLETIONS, {"logprobs": 5}).request["logprobs"] == 5
    assert Sampled(CHAT, {"logprobs": False}).request["logprobs"] is True


def test_hidden_reasoning_is_recorded_and_stays_hidden() -> None:
    """vLLM gives no token ids with `include_reasoning: false`."""
    sampled = Sampled(CHAT, {"include_reasoning": False})
    assert sampled.request["include_reasoning"] is True
    passed = sampled.stream(event(chunk(0, 1, {"reasoning": "secret"})))
    passed += sampled.stream(event(chunk(0, 2, {"content": "open"}, finish_reason="stop")))
    assert b"secret" not in passed and len(chunks_of(passed)) == 1
    [choice] = sampled.as_json()["response_body"]["choices"]
    assert choice["token_ids"] == [1, 2]
    assert choice["message"] == {"role": "assistant", "content": "open", "reasoning": "secret"}


def test_an_echoed_prompt_is_not_sampled() -> None:
    sampled = Sampled(COMPLETIONS, {"echo": True})
    logprobs = {"token_logprobs": [None, -0.5, -0.25]}
    choice = {"index": 0, "text": "a b c", "token_ids": [9], "prompt_token_ids": [7, 8]}
    answer = {"choices": [{**choice, "logprobs": logprobs, "finish_reason": "stop"}]}
    sampled.whole(json.dumps(answer).encode())
    sampled.end()
    [kept] = sampled.as_json()["response_body"]["choices"]
    assert (kept["prompt_token_ids"], kept["token_ids"], kept["logprobs"]) == ([7, 8], [9], [-0.25])
    assert sampled.error is None and sampled.is_exact


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (STREAM[: STREAM.index(b"data: [DONE]")], "the answer ended before it was complete"),
        (STREAM[: len(STREAM) // 2] + b"\n\ndata: [DONE]\n\n", "is not vLLM's"),
        (event(chunk(0, 1, {})) + b"data: [DONE]\n\n", "ended the generation (None)"),
        (event({"error": {"message": "engine died"}}) + b"data: [DONE]\n\n", "engine died"),
        (event([1]) + b"data: [DONE]\n\n", "not a JSON object"),
        (event({"choices": [{"token_ids": ["x"]}]}) + b"data: [DONE]\n\n", "is not vLLM's"),
    ],
)
def test_an_answer_that_is_no_good(stream: bytes, error: str) -> None:
    sampled = Sampled(CHAT, {})
    passed = sampled.stream(stream)
    sampled.end()
    assert sampled.error is not None and error in sampled.error
    if b"[DONE]" in stream:
        assert passed.endswith(b"data: [DONE]\n\n")


def test_without_what_was_asked_for_it_is_not_exact() -> None:
    """A server that does not know the switches."""
    choice = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}
    sampled = Sampled(CHAT, {})
    sampled.whole(json.dumps({"choices": [choice]}).encode())
    sampled.end()
    assert sampled.error is None and not sampled.is_exact
    [kept] = sampled.as_json()["response_body"]["choices"]
    assert kept["token_ids"] is kept["logprobs"] is None


@pytest.mark.parametrize("text", [b"1", b"null", b"{", b"NaN", b'{"a": Infinity}', b"[" * 10**6])
def test_not_a_json_object(text: bytes) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_how_much_a_line_takes() -> None:
    """At most 12 bytes a prompt token and 36 a sampled one, of which the Plan makes a trial's records."""
    chance = random.Random(1)
    prompt = [chance.randrange(100_000, 248_000) for _ in range(5000)]
    token_ids = [chance.randrange(100_000, 248_000) for _ in range(1000)]
    logprobs = [-chance.expovariate(2.0) for _ in token_ids]
    text = ("x" * 39 + "\n") * 500  # four characters a token
    sampled = Sampled(CHAT, {})
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text[:4000]},
        "token_ids": token_ids,
        "logprobs": {"content": [{"logprob": value} for value in logprobs]},
    }
    sampled.whole(json.dumps({"choices": [choice], "prompt_token_ids": prompt}).encode())
    line = {"request_body": {"messages": [{"content": text}]}, **sampled.as_json()}
    size = len(json.dumps(line, separators=(",", ":")))
    most = 12 * len(prompt) + 36 * len(token_ids)
    assert 0.8 * most < size < most
