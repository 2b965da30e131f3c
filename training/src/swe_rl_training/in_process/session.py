"""One trial's calls: messages in, an answer out, and every token kept."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from verl.experimental.agent_loop.tool_parser import FunctionCall, ToolParser
from verl.tools.schemas import OpenAIFunctionToolSchema

from ..recording import Call, Recording
from .conversation import Conversation, Message, TokenBuilder, plain

logger = logging.getLogger(__name__)

FILE_NAME = "proxy_trajectory.jsonl"
"""Beside the trial's other files; its lines are the recorder's (docs/trajectories.md)."""


class Refused(Exception):
    """A call that no server will be asked for. The message goes to the agent."""


class PromptTooLong(Refused):
    pass


class Unavailable(Exception):
    """verl's servers did not answer, or broke off; the agent may call again."""


class RolloutServers(Protocol):
    """verl's LLMServerClient (verl/workers/rollout/llm_server.py), as far as it is used."""

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **more: Any
    ) -> Any:
        """A TokenOutput."""


class Tokenizer(Protocol):
    eos_token_id: int | None

    def decode(self, token_ids: list[int]) -> str: ...


@dataclass(frozen=True)
class Sampler:
    """How a sample of verl's is drawn: the agent's own temperature and the like do not count."""

    servers: RolloutServers
    tokenizer: Tokenizer
    builder: TokenBuilder
    parser: ToolParser
    parameters: Mapping[str, Any]
    """Sampling parameters, as verl hands them to the loop."""
    stops: frozenset[int]
    """Token ids that end an answer."""
    window: int
    """Tokens of prompt and answer that an agent may fill."""
    call_tokens: int
    """Most tokens that one call may sample."""
    priority: int = 0


@dataclass(frozen=True)
class Answer:
    text: str
    tool_calls: tuple[Mapping[str, Any], ...]
    """As in the OpenAI API."""
    finish_reason: str
    prompt_tokens: int
    sampled_tokens: int


@dataclass
class Session:
    """`directory`: the trial's, which Harbor makes."""

    trial: str
    directory: Path
    sampler: Sampler
    recording: Recording = field(default_factory=lambda: Recording([]))

    def __post_init__(self) -> None:
        self._conversation = Conversation(self.sampler.builder)

    async def count(self, messages: list[Mapping[str, Any]], tools: list[Any]) -> int:
        """Tokens of the prompt that these messages make."""
        prompt = await asyncio.to_thread(
            self._conversation.prompt_of, [plain(message) for message in messages], tools
        )
        return len(prompt)

    async def answer(
        self, messages: list[Mapping[str, Any]], tools: list[Any], most_tokens: int | None
    ) -> Answer:
        """Raises BadMessage, Refused and Unavailable."""
        spoken = [plain(message) for message in messages]
        prompt = await asyncio.to_thread(self._conversation.prompt_of, spoken, tools)
        budget = min(most_tokens or self.sampler.call_tokens, self.sampler.call_tokens)
        room = self.sampler.window - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"prompt is too long: {len(prompt)} tokens > {self.sampler.window - 1} maximum"
            )
        call, ended_itself = await self._sampled(prompt, min(budget, room))
        message, finish = await self._message(call, tools, ended_itself=ended_itself)
        if ended_itself:
            tokens = [*prompt, *call.sampled]
            self._conversation.answered(spoken, tools, plain(message), tokens)
        self.recording.calls.append(call)
        await asyncio.to_thread(self._write, call, spoken, tools, message, finish)
        return Answer(
            text=message["content"],
            tool_calls=tuple(message.get("tool_calls", ())),
            finish_reason=finish,
            prompt_tokens=len(prompt),
            sampled_tokens=len(call.sampled),
        )

    async def _sampled(self, prompt: list[int], budget: int) -> tuple[Call, bool]:
        """The call, and whether the policy itself ended it."""
        sampler = self.sampler
        parameters = {**sampler.parameters, "max_tokens": budget, "logprobs": True}
        if sampler.parser.stop_token_ids:
            parameters["stop_token_ids"] = sampler.parser.stop_token_ids
        started = time.time()
        try:
            output = await sampler.servers.generate(
                # One server for all calls of a trial: it has their beginning in its cache.
                self.trial,
                prompt_ids=prompt,
                sampling_params=parameters,
                priority=sampler.priority,
            )
        except asyncio.CancelledError:
            self.recording.unusable["aborted by client"] += 1
            raise
        except Exception as error:
            self.recording.unusable["failed"] += 1
            logger.warning("%s: verl's servers failed: %r", self.trial, error)
            raise Unavailable("the policy's server failed; call again") from error
        ids, logprobs = list(output.token_ids), output.log_probs
        if output.stop_reason in ("abort", "aborted") or not ids:
            self.recording.unusable["aborted by server" if ids else "nothing sampled"] += 1
            raise Unavailable("the policy's server broke off; call again")
        if logprobs is None or len(logprobs) != len(ids):
            self.recording.unusable["without log-probabilities"] += 1
            raise Unavailable("the policy's server gave no log-probabilities")
        ended_itself = ids[-1] in sampler.stops or len(ids) < budget
        return (
            Call(
                id=uuid4().hex,
                started=started,
                ended=time.time(),
                prompt=array("q", prompt),
                sampled=array("q", ids),
                logprobs=array("d", logprobs),
                finish_reason="stop" if ended_itself else "length",
                versions=_versions(output.extra_fields),
            ),
            ended_itself,
        )

    async def _message(
        self, call: Call, tools: list[Any], *, ended_itself: bool
    ) -> tuple[Message, str]:
        """What the tokens say, in the words of the OpenAI API, and the reason of its end."""
        ids = call.sampled.tolist()
        while ids and ids[-1] in self.sampler.stops:
            ids.pop()
        if tools:
            text, found = await self.sampler.parser.extract_tool_calls(ids, schemas(tools))
        else:
            text, found = self.sampler.tokenizer.decode(ids), []
        message: Message = {"role": "assistant", "content": text}
        if found:
            message["tool_calls"] = [_tool_call(one) for one in found]
        if not ended_itself:
            return message, "length"
        return message, "tool_calls" if found else "stop"

    def _write(
        self, call: Call, messages: list[Message], tools: list[Any], answer: Message, finish: str
    ) -> None:
        choice = {
            "index": 0,
            "finish_reason": finish,
            "message": answer,
            "token_ids": call.sampled.tolist(),
            "logprobs": call.logprobs.tolist(),
        }
        record = {
            "id": call.id,
            "trial": self.trial,
            "started": call.started,
            "ended": call.ended,
            "outcome": "complete",
            "weights": call.versions,
            "request_body": {"messages": messages, "tools": tools},
            "prompt_token_ids": call.prompt.tolist(),
            "response_body": {"choices": [choice]},
        }
        try:
            with (self.directory / FILE_NAME).open("a") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            # The tokens are in memory, so the sample is whole without the file.
            logger.warning("%s: a call is not written: %s", self.trial, error)


def _versions(about: Mapping[str, Any]) -> tuple[int, int] | None:
    """The oldest and the newest weights that a call was sampled with."""
    oldest, newest = about.get("min_global_steps"), about.get("max_global_steps")
    return None if oldest is None or newest is None else (int(oldest), int(newest))


def _tool_call(found: FunctionCall) -> dict[str, Any]:
    return {
        "id": found.tool_call_id or f"call_{uuid4().hex}",
        "type": "function",
        "function": {"name": found.name, "arguments": found.arguments},
    }


def schemas(tools: list[Any]) -> list[OpenAIFunctionToolSchema]:
    """The tools as verl's parsers read them: each parameter's type, and nothing else of its schema."""
    return [
        OpenAIFunctionToolSchema.model_validate(
            {
                "type": "function",
                "function": {
                    "name": function["name"],
                    "description": "",
                    "parameters": {
                        "type": "object",
                        "properties": {
                            name: {"type": _type_of(schema)}
                            for name, schema in (
                                (function.get("parameters") or {}).get("properties") or {}
                            ).items()
                        },
                    },
                },
            }
        )
        for function in (tool["function"] for tool in tools)
    ]


def _type_of(schema: object) -> str:
    """JSON Schema's type; of several the first that is not null, of an unnamed one `object`."""
    if not isinstance(schema, dict):
        return "object"
    named = schema.get("type")
    if isinstance(named, list):
        named = next((one for one in named if one != "null"), "null")
    if isinstance(named, str):
        return named
    for key in ("anyOf", "oneOf"):
        for one in schema.get(key) or []:
            if (kind := _type_of(one)) != "null":
                return kind
    return "string" if "enum" in schema else "object"
