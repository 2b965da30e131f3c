"""A rollout server of a rehearsal: what verl's own has for agent loops and for the proxy, without a GPU.

verl's servers are Ray actors that answer to `generate` and serve vLLM's OpenAI surface on a port of their own
(verl/workers/rollout/vllm_rollout/vllm_async_server.py, verl 0.9.1); so is this one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from aiohttp import web
from transformers import AutoTokenizer
from verl.experimental.agent_loop.tool_parser import ToolParser
from verl.workers.rollout.replica import TokenOutput

from ..in_process.conversation import BadMessage, plain
from ..in_process.session import schemas
from . import chat
from .policy import Bigrams
from .solutions import Script, read_solutions

SECONDS_A_TOKEN = 0.004
"""As fast as a large model with few requests."""


@dataclass(frozen=True)
class Wishes:
    """What a server is told."""

    model: str
    served: str
    """Name by which agents ask for the model."""
    parser: str
    """verl's name of the tool-call parser."""
    window: int
    tasks: tuple[str, ...]
    """Folders of the tasks that may be tried."""


@dataclass(frozen=True)
class Drawn:
    tokens: list[int]
    logprobs: list[float]
    finish: str
    """`stop`, `length`, or `abort` for an answer that a weight sync has cut."""


class RehearsalServer:
    """To be wrapped by `ray.remote`."""

    def __init__(self, wishes: Wishes, number: int) -> None:
        self._wishes = wishes
        self._tokenizer = AutoTokenizer.from_pretrained(wishes.model)
        self._policy = Bigrams(len(self._tokenizer), seed=number)
        self._script = Script(read_solutions(Path(task) for task in wishes.tasks), seed=number)
        self._open: dict[tuple[int, ...], list[int]] = {}
        """What was still to come of answers that were cut, by all tokens so far."""
        self._weights = 0
        self._generating = 0
        self._address: tuple[str, int] | None = None

    async def start(self) -> None:
        """Listens on a port of the pod."""
        surface = web.Application(client_max_size=2**28)
        surface.add_routes(
            [
                web.get("/health", self._health),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
            ]
        )
        runner = web.AppRunner(surface, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "0.0.0.0", 0)
        await site.start()
        assert runner.addresses
        self._address = ray.util.get_node_ip_address(), int(runner.addresses[0][1])

    async def get_server_address(self) -> tuple[str, int]:
        """Host and port."""
        assert self._address is not None, "the server does not listen yet"
        return self._address

    async def set_weights(self, step: int) -> None:
        """The weights after a step: whatever is being generated is cut."""
        self._weights = step

    async def generating(self) -> int:
        """Answers that are being generated."""
        return self._generating

    async def generate(
        self, *, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        """As verl's client calls it."""
        del request_id  # verl gives every part of an answer another one
        before = self._weights
        drawn = await self._collected(prompt_ids, int(sampling_params["max_tokens"]))
        return TokenOutput(
            token_ids=drawn.tokens,
            log_probs=drawn.logprobs,
            stop_reason="aborted" if drawn.finish == "abort" else "completed",
            num_preempted=0,
            extra_fields={"global_steps": before},
        )

    async def _collected(self, prompt: list[int], most: int) -> Drawn:
        drawn = Drawn([], [], "stop")
        async for drawn in self._drawn(prompt, most):
            pass
        return drawn

    async def _drawn(self, prompt: list[int], most: int) -> AsyncIterator[Drawn]:
        """All so far, after each token."""
        meant = self._open.pop(tuple(prompt), None)
        if meant is None:
            meant = await asyncio.to_thread(self._meant, prompt)
        self._generating += 1
        try:
            async for drawn in self._parts(prompt, meant, most):
                yield drawn
        finally:
            self._generating -= 1

    async def _parts(self, prompt: list[int], meant: list[int], most: int) -> AsyncIterator[Drawn]:
        weights, begin = self._weights, time.monotonic()
        tokens: list[int] = []
        logprobs: list[float] = []
        for token, logprob in self._policy.draw(prompt[-1], meant[:most]):
            tokens.append(token)
            logprobs.append(logprob)
            late = begin + len(tokens) * SECONDS_A_TOKEN - time.monotonic()
            await asyncio.sleep(max(0.0, late))
            is_last = len(tokens) == min(len(meant), most)
            if self._weights != weights and not is_last:
                self._open[(*prompt, *tokens)] = meant[len(tokens) :]
                yield Drawn(tokens, logprobs, "abort")
                return
            yield Drawn(tokens, logprobs, "length" if is_last and len(meant) > most else "stop")

    def _meant(self, prompt: list[int]) -> list[int]:
        """Tokens of the next turn."""
        said = chat.read(self._tokenizer.decode(prompt))
        turn = self._script.turn(said)
        text = turn.text
        if turn.command is not None and said.shell is not None:
            text = chat.written(self._tokenizer, text, said.shell, turn.command)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return [*ids, self._tokenizer.eos_token_id]

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self._wishes.served}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        try:
            messages = [plain(message) for message in body["messages"]]
        except (BadMessage, KeyError) as error:
            return _refusal(f"bad messages: {error}")
        tools = body.get("tools") or []
        prompt: list[int] = await asyncio.to_thread(
            self._tokenizer.apply_chat_template,
            messages,
            tools=tools or None,
            add_generation_prompt=True,
            return_dict=False,
        )
        room = self._wishes.window - len(prompt)
        most = body.get("max_completion_tokens") or body.get("max_tokens") or room
        if most > room or room < 1:
            return _refusal(
                f"This model's maximum context length is {self._wishes.window} tokens. However, you requested "
                f"{most} output tokens and your prompt contains at least {len(prompt)} input tokens."
            )
        answer = _Answer(self, body, prompt, tools)
        if body.get("stream"):
            return await answer.stream(request, self._drawn(prompt, most))
        return web.json_response(await answer.whole(await self._collected(prompt, most)))

    async def said(self, tokens: list[int], tools: list[Any]) -> tuple[str, list[dict[str, Any]]]:
        """Text and tool calls of an answer."""
        ids = [token for token in tokens if token != self._tokenizer.eos_token_id]
        if not tools:
            return self._tokenizer.decode(ids), []
        parser = ToolParser.get_tool_parser(self._wishes.parser, self._tokenizer)
        text, found = await parser.extract_tool_calls(ids, schemas(tools))
        calls = [
            {
                "index": number,
                "id": f"call_{uuid4().hex}",
                "type": "function",
                "function": {"name": one.name, "arguments": one.arguments},
            }
            for number, one in enumerate(found)
        ]
        return text, calls

    def text(self, token: int) -> str:
        return "" if token == self._tokenizer.eos_token_id else str(self._tokenizer.decode([token]))


class _Answer:
    """One answer in the words of vLLM's OpenAI surface."""

    def __init__(
        self, server: RehearsalServer, body: Mapping[str, Any], prompt: list[int], tools: list[Any]
    ) -> None:
        self._server, self._body, self._prompt, self._tools = server, body, prompt, tools
        self._wants_ids = bool(body.get("return_token_ids"))
        self._about = {
            "id": f"chatcmpl-{uuid4().hex}",
            "created": int(time.time()),
            "model": body.get("model"),
        }

    async def whole(self, drawn: Drawn) -> dict[str, Any]:
        text, calls = await self._server.said(drawn.tokens, self._tools)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": _finish(drawn, calls),
            "logprobs": self._logprobs(drawn.tokens, drawn.logprobs),
            "token_ids": drawn.tokens if self._wants_ids else None,
        }
        return {
            **self._about,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._usage(drawn),
            "prompt_token_ids": self._prompt if self._wants_ids else None,
        }

    async def stream(
        self, request: web.Request, parts: AsyncIterator[Drawn]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)

        async def send(choices: list[dict[str, Any]], **more: Any) -> None:
            chunk = {**self._about, "object": "chat.completion.chunk", "choices": choices, **more}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())

        first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        await send([first], prompt_token_ids=self._prompt if self._wants_ids else None)
        drawn = Drawn([], [], "stop")
        said = ""
        is_text = True
        async for drawn in parts:
            # What a tool call says comes once it is whole, its tokens as they are sampled.
            piece = self._server.text(drawn.tokens[-1])
            is_text = is_text and not ("<" in piece and self._tools) and "�" not in piece
            delta = {"content": piece} if is_text and piece else {}
            said += delta.get("content", "")
            await send([self._chunk(drawn, delta)])
        text, calls = await self._server.said(drawn.tokens, self._tools)
        rest = text.removeprefix(said)
        delta = {**({"content": rest} if rest and text.startswith(said) else {})}
        if calls:
            delta["tool_calls"] = calls
        last = {"index": 0, "delta": delta, "finish_reason": _finish(drawn, calls), "logprobs": None}
        await send([last])
        if (self._body.get("stream_options") or {}).get("include_usage"):
            await send([], usage=self._usage(drawn))
        await response.write(b"data: [DONE]\n\n")
        return response

    def _chunk(self, drawn: Drawn, delta: dict[str, Any]) -> dict[str, Any]:
        """Of the newest token."""
        return {
            "index": 0,
            "delta": delta,
            "finish_reason": None,
            "logprobs": self._logprobs(drawn.tokens[-1:], drawn.logprobs[-1:]),
            "token_ids": drawn.tokens[-1:] if self._wants_ids else None,
        }

    def _logprobs(self, tokens: list[int], logprobs: list[float]) -> dict[str, Any] | None:
        if not self._body.get("logprobs"):
            return None
        pairs = zip(tokens, logprobs, strict=True)
        content = [
            {"token": self._server.text(token), "logprob": one, "bytes": None, "top_logprobs": []}
            for token, one in pairs
        ]
        return {"content": content}

    def _usage(self, drawn: Drawn) -> dict[str, int]:
        prompt, sampled = len(self._prompt), len(drawn.tokens)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": sampled,
            "total_tokens": prompt + sampled,
        }


def _finish(drawn: Drawn, calls: list[dict[str, Any]]) -> str:
    return "tool_calls" if calls and drawn.finish == "stop" else drawn.finish


def _refusal(message: str) -> web.Response:
    error = {"message": message, "type": "BadRequestError", "code": 400}
    return web.json_response({"error": error}, status=400)
