"""A stand-in for a rollout server: vLLM's OpenAI surface, which remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .http_stub import Handler, serving

WORDS = ("the ", "answer ", "of ")


@dataclass(frozen=True)
class Call:
    path: str
    body: dict[str, Any]
    authorization: str | None


@dataclass
class Backend:
    """One rollout server."""

    name: str
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    """Generations that it was asked for."""

    @property
    def text(self) -> str:
        return "".join(WORDS) + self.name

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listens, on the same port each time."""
        with serving(self._handler(), self.port) as server:
            self.port = server.port
            yield

    def _handler(self) -> type[Handler]:
        backend = self

        class Surface(Handler):
            def do_GET(self) -> None:
                self.answer(200, b'{"object": "list", "data": [{"id": "vllm_model"}]}')

            def do_POST(self) -> None:
                body = json.loads(self.body())
                backend.calls.append(Call(self.path, body, self.headers.get("Authorization")))
                if self.path == "/v1/chat/completions" and body.get("stream"):
                    self._stream()
                elif self.path in ("/v1/chat/completions", "/v1/completions"):
                    self.answer(200, json.dumps(backend.completion(self.path)).encode())
                else:
                    self.answer(404, b'{"error": "no such route"}')

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                for event in backend.events():
                    self.wfile.write(f"data: {event}\n\n".encode())
                self.close_connection = True

        return Surface

    def completion(self, path: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "finish_reason": "stop"}
        chat = path == "/v1/chat/completions"
        return {
            "id": "cmpl-1",
            "object": "chat.completion" if chat else "text_completion",
            "created": 1,
            "model": "vllm_model",
            "choices": [{**choice, "message": message} if chat else {**choice, "text": self.text}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        }

    def events(self) -> Iterator[str]:
        for text in (*WORDS, self.name, None):
            delta = {} if text is None else {"role": "assistant", "content": text}
            choice = {"index": 0, "delta": delta, "finish_reason": None if text else "stop"}
            chunk = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1}
            yield json.dumps({**chunk, "model": "vllm_model", "choices": [choice]})
        yield "[DONE]"
