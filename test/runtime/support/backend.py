"""A stand-in for a rollout server: vLLM's OpenAI surface, which remembers what it sampled.

As vLLM does, it gives token ids and log-probabilities only when asked: ids of the prompt in a
stream's first chunk, and chunks with nothing but ids while a tool call is parsed.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from .http_stub import Handler, serving

WORDS = ("the ", "answer ", "of ")
ARGUMENTS = ('{"city": ', '"Paris"', "}")

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

Fault = Literal[
    "dies before it answers",
    "dies in mid-stream",
    "hangs",
    "aborts",
    "refuses",
    "too many requests",
    "overloaded",
]


@dataclass
class Call:
    path: str
    body: dict[str, Any]
    authorization: str | None
    headers: dict[str, str]
    prompt_token_ids: list[int]
    token_ids: list[int] = field(default_factory=list)
    """Of the tokens that were sampled and sent."""
    logprobs: list[float] = field(default_factory=list)

    def note(self, token: Token) -> None:
        self.token_ids.append(token.id)
        self.logprobs.append(token.logprob)


@dataclass(frozen=True)
class Token:
    id: int
    logprob: float
    piece: dict[str, Any]
    """What it says: a delta of a chat, empty for a token that says nothing."""


@dataclass
class Backend:
    """One rollout server."""

    name: str
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    """Generations that it was asked for."""
    faults: list[Fault] = field(default_factory=list)
    """What happens to the next calls, one after the other."""
    pause: float = 0.0
    """Seconds between the tokens of a stream."""
    room: int = 0
    """Tokens that its window has left after any prompt: larger bounds it refuses. 0: no end."""
    tokens: int = 0
    """Length of its answers; 0: a short text that ends with its name."""
    hanging: threading.Event = field(default_factory=threading.Event)
    """While set, it accepts connections and answers nothing, not even probes."""

    @property
    def text(self) -> str:
        return "".join(WORDS) + self.name

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listens, on the same port each time."""
        with serving(self._handler(), self.port) as server:
            self.port = server.port
            yield

    def prompt(self, body: dict[str, Any]) -> list[int]:
        """Ids of the prompt's tokens."""
        return [random.randrange(151_000) for _ in range(random.randrange(3, 30))]

    def sampled(self, call: Call) -> list[Token]:
        """What the server samples for a call."""
        return [
            # With all its digits.
            Token(random.randrange(151_000), -random.expovariate(2.0), piece)
            for piece in self._pieces(call.body)
        ]

    def _pieces(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        if self.tokens:
            return [{"content": f"w{number} "} for number in range(self.tokens)]
        if not body.get("tools"):
            return [{"content": word} for word in (*WORDS, self.name)]
        begin = {"index": 0, "id": "call-1", "type": "function"}
        function = {"name": "weather", "arguments": ""}
        return [
            {"content": "Let me see. "},
            {},
            {},
            {"tool_calls": [{**begin, "function": function}]},
            *({"tool_calls": [{"index": 0, "function": {"arguments": a}}]} for a in ARGUMENTS),
        ]

    def _handler(self) -> type[Handler]:
        backend = self

        class Surface(Handler):
            def do_GET(self) -> None:
                if self.path == "/health":
                    backend.hang_if_told()
                    self.answer(200, b"")
                else:
                    self.answer(200, b'{"object": "list", "data": [{"id": "vllm_model"}]}')

            def do_POST(self) -> None:
                body = json.loads(self.body())
                if self.path not in ("/v1/chat/completions", "/v1/completions"):
                    self.answer(404, b'{"error": "no such route"}')
                    return
                prompt = backend.prompt(body)
                authorization = self.headers.get("Authorization")
                call = Call(self.path, body, authorization, dict(self.headers), prompt)
                backend.calls.append(call)
                fault = backend.faults.pop(0) if backend.faults else None
                if fault == "hangs":
                    backend.hanging.set()
                backend.hang_if_told()
                bound = body.get("max_completion_tokens") or body.get("max_tokens") or 0
                if backend.room and isinstance(bound, int) and bound > backend.room:
                    self.answer(400, json.dumps(too_long(bound)).encode())
                elif fault == "refuses":
                    self.answer(400, b'{"error": {"message": "prompt too long", "code": 400}}')
                elif fault == "too many requests":
                    self.answer(429, b'{"error": {"message": "too many requests", "code": 429}}')
                elif fault == "overloaded":
                    self.answer(529, b'{"error": {"message": "overloaded", "code": 529}}')
                elif fault == "dies before it answers":
                    self.close_connection = True
                elif body.get("stream"):
                    self._stream(call, fault)
                else:
                    self.answer(200, json.dumps(backend.completion(call)).encode())

            def _stream(self, call: Call, fault: Fault | None) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream; charset=utf-8")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for number, event in enumerate(backend.events(call, aborts=fault == "aborts")):
                    if fault == "dies in mid-stream" and number == 3:
                        self.close_connection = True
                        # Sampled, but never sent.
                        del call.token_ids[-1:], call.logprobs[-1:]
                        return
                    data = f"data: {event}\n\n".encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
                    time.sleep(backend.pause)
                self.wfile.write(b"0\r\n\r\n")

        return Surface

    def hang_if_told(self) -> None:
        while self.hanging.is_set():
            time.sleep(0.05)

    def completion(self, call: Call) -> dict[str, Any]:
        chat = call.path == "/v1/chat/completions"
        ids_wanted = bool(call.body.get("return_token_ids"))
        tokens = self.sampled(call)
        for token in tokens:
            call.note(token)
        message = whole_message([token.piece for token in tokens])
        choice = {
            "index": 0,
            "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
            "stop_reason": None,
            "logprobs": logprobs_for(call, call.token_ids, call.logprobs),
            "token_ids": call.token_ids if ids_wanted else None,
            **({"message": message} if chat else {"text": message["content"]}),
        }
        prompt = call.prompt_token_ids if ids_wanted else None
        return {
            "id": "cmpl-1",
            "object": "chat.completion" if chat else "text_completion",
            "created": 1,
            "model": "vllm_model",
            "choices": [choice if chat else {**choice, "prompt_token_ids": prompt}],
            "usage": USAGE,
            **({"prompt_token_ids": prompt} if chat else {}),
        }

    def events(self, call: Call, *, aborts: bool = False) -> Iterator[str]:
        chat = call.path == "/v1/chat/completions"
        ids_wanted = bool(call.body.get("return_token_ids"))
        chunk: dict[str, Any] = {"id": "cmpl-1", "created": 1, "model": "vllm_model"}
        chunk["object"] = "chat.completion.chunk" if chat else "text_completion"
        prompt = {"prompt_token_ids": call.prompt_token_ids if ids_wanted else None}
        if chat:
            first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None}
            yield json.dumps({**chunk, "choices": [{**first, "finish_reason": None}], **prompt})
        tokens = self.sampled(call)
        end = "tool_calls" if any("tool_calls" in token.piece for token in tokens) else "stop"
        for number, token in enumerate(tokens):
            is_last = number == len(tokens) - 1
            call.note(token)
            if not (token.piece or ids_wanted or is_last):
                continue
            choice = {
                "index": 0,
                "logprobs": logprobs_for(call, [token.id], [token.logprob]),
                "finish_reason": ("abort" if aborts else end) if is_last else None,
                "token_ids": [token.id] if ids_wanted else None,
                **({"delta": token.piece} if chat else {"text": token.piece["content"]}),
            }
            if not chat and number == 0:
                choice |= prompt
            yield json.dumps({**chunk, "choices": [choice]})
        if (call.body.get("stream_options") or {}).get("include_usage"):
            yield json.dumps({**chunk, "choices": [], "usage": USAGE})
        yield "[DONE]"


def whole_message(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that the deltas of a stream add up to."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for piece in pieces:
        message["content"] += piece.get("content") or ""
        for part in piece.get("tool_calls") or []:
            call = calls.setdefault(part["index"], {"function": {"name": "", "arguments": ""}})
            call |= {key: part[key] for key in ("id", "type") if key in part}
            for key, text in part["function"].items():
                call["function"][key] += text
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def logprobs_for(call: Call, ids: list[int], logprobs: list[float]) -> dict[str, Any] | None:
    """In the form of the route, if the request asks for them."""
    wanted = call.body.get("logprobs")
    if call.path == "/v1/chat/completions":
        if not wanted:
            return None
        tokens = zip(ids, logprobs, strict=True)
        content = [
            {"token": f"t{id}", "logprob": logprob, "bytes": None, "top_logprobs": []}
            for id, logprob in tokens
        ]
        return {"content": content}
    if wanted is None:
        return None
    return {
        "text_offset": [0] * len(ids),
        "token_logprobs": logprobs,
        "tokens": [f"t{id}" for id in ids],
        "top_logprobs": [None] * len(ids),
    }


def too_long(bound: int) -> dict[str, Any]:
    """As vLLM 0.20 says it."""
    message = (
        "This model's maximum context length is 128000 tokens. However, you requested "
        f"{bound} output tokens and your prompt contains at least 100000 input tokens."
    )
    return {"error": {"message": message, "type": "BadRequestError", "code": 400}}
