"""The OpenAI and the Anthropic API in front of a session, translated by LiteLLM as a library."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import litellm
from litellm import CustomLLM
from litellm.types.utils import GenericStreamingChunk, ModelResponse

from .conversation import BadMessage
from .session import Answer, Refused, Session, Unavailable

PROVIDER = "swe_rl_policy"


@dataclass
class _Asked:
    """The call that LiteLLM is translating."""

    session: Session
    counts_only: bool = False
    error: Exception | None = None
    """What the session said, which LiteLLM wraps in an error of its own."""

    async def answer(self, messages: list[Any], parameters: Mapping[str, Any]) -> Answer:
        # A list of tools that the agent forbids for this call is none.
        tools = [] if parameters.get("tool_choice") == "none" else list(parameters.get("tools") or [])
        try:
            if self.counts_only:
                return Answer("", (), "stop", await self.session.count(messages, tools), 0)
            return await self.session.answer(messages, tools, parameters.get("max_tokens"))
        except (BadMessage, Refused, Unavailable) as error:
            self.error = error
            raise


_asked: ContextVar[_Asked] = ContextVar("asked")


class _Provider(CustomLLM):
    """Where LiteLLM asks for a completion."""

    async def acompletion(  # type: ignore[override]
        self, model: str, messages: list[Any], *args: Any, optional_params: dict[str, Any], **kwargs: Any
    ) -> ModelResponse:
        answer = await _asked.get().answer(messages, optional_params)
        message = {"role": "assistant", "content": answer.text}
        if answer.tool_calls:
            message["tool_calls"] = answer.tool_calls  # type: ignore[assignment]
        choice = {"index": 0, "finish_reason": answer.finish_reason, "message": message}
        return ModelResponse(model=model, choices=[choice], usage=_usage(answer))

    async def astreaming(  # type: ignore[override]
        self, model: str, messages: list[Any], *args: Any, optional_params: dict[str, Any], **kwargs: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        # verl's servers give whole answers, so a stream has each part in one piece.
        answer = await _asked.get().answer(messages, optional_params)
        if answer.text:
            yield _chunk(text=answer.text)
        for index, call in enumerate(answer.tool_calls):
            yield _chunk(tool_use={**call, "index": index})
        yield _chunk(finish_reason=answer.finish_reason, usage=_usage(answer))


def _chunk(
    *,
    text: str = "",
    tool_use: dict[str, Any] | None = None,
    finish_reason: str = "",
    usage: dict[str, int] | None = None,
) -> GenericStreamingChunk:
    chunk = {
        "text": text,
        "tool_use": tool_use,
        "is_finished": bool(finish_reason),
        "finish_reason": finish_reason,
        "usage": usage,
        "index": 0,
    }
    return GenericStreamingChunk(**chunk)  # type: ignore[typeddict-item]


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.sampled_tokens,
        "total_tokens": answer.prompt_tokens + answer.sampled_tokens,
    }


def register() -> None:
    """Makes LiteLLM know the provider. Once in a process."""
    litellm.custom_provider_map = [{"provider": PROVIDER, "custom_handler": _Provider()}]
    # It warns of every parameter that it drops, and of every call that is refused.
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)


async def chat_completion(session: Session, body: Mapping[str, Any]) -> Any:
    """POST /v1/chat/completions: an object, or the chunks of a stream.

    Raises BadMessage, Refused, Unavailable, and what LiteLLM raises for a body that it cannot read.
    """
    if body.get("n") not in (None, 1):
        raise Refused("one answer is given to a call: n must be 1")
    call = _Asked(session)
    _asked.set(call)
    try:
        answer = await litellm.acompletion(
            **_known(body, CHAT), model=f"{PROVIDER}/{body.get('model')}", **OPTIONS
        )
    except Exception as error:
        raise call.error or error from error
    if not body.get("stream"):
        return answer.model_dump(exclude_none=True)
    return _with_errors_of(call, (chunk.model_dump_json(exclude_none=True) async for chunk in answer))


async def message(session: Session, body: Mapping[str, Any]) -> Any:
    """POST /v1/messages: an object, or the events of a stream. Raises as `chat_completion` does."""
    call = _Asked(session)
    _asked.set(call)
    try:
        answer = await litellm.anthropic.messages.acreate(
            **_known(body, MESSAGES), model=f"{PROVIDER}/{body.get('model')}", **OPTIONS
        )
    except Exception as error:
        raise call.error or error from error
    return _with_errors_of(call, answer) if body.get("stream") else answer


async def count_tokens(session: Session, body: Mapping[str, Any]) -> dict[str, int]:
    """POST /v1/messages/count_tokens."""
    call = _Asked(session, counts_only=True)
    _asked.set(call)
    known = {**_known(body, MESSAGES), "stream": False, "max_tokens": 1}
    try:
        answer: Any = await litellm.anthropic.messages.acreate(
            **known, model=f"{PROVIDER}/{body.get('model')}", **OPTIONS
        )
    except Exception as error:
        raise call.error or error from error
    return {"input_tokens": int(answer["usage"]["input_tokens"])}


CHAT = ("messages", "tools", "tool_choice", "max_tokens", "max_completion_tokens", "stream", "stream_options")
MESSAGES = ("messages", "system", "tools", "tool_choice", "max_tokens", "stream")
OPTIONS: Mapping[str, Any] = {"api_key": "none", "drop_params": True, "num_retries": 0}


def _known(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """What of a body has an effect. The rest, such as a temperature, belongs to the run."""
    return {name: body[name] for name in names if body.get(name) is not None}


async def _with_errors_of(call: _Asked, stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        async for part in stream:
            if call.error is not None:
                # The Anthropic adapter makes an event of its own of it.
                raise call.error
            yield part
    except Exception as error:
        raise call.error or error from error
