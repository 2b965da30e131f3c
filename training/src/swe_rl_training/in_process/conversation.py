"""From an agent's messages to tokens, such that sampled tokens stay as they were sampled.

An agent sends its whole conversation with every call, and a chat template does not render an answer
as it was sampled (verl issue 6719). So where a call's messages go on from an earlier call and its
answer, the prompt is that call's own tokens and the new messages, by verl's continuous tokens.
Elsewhere, as for the first call, a sub-agent, or a history that the agent has rewritten, the template
renders the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Message = dict[str, Any]
Tools = Sequence[Mapping[str, Any]]


class BadMessage(ValueError):
    """A message that is no text. What it says goes to the agent."""


class TokenBuilder(Protocol):
    """verl's ContinuousTokenBuilder (verl/utils/tokenizer/continuous_token.py), as far as it is used."""

    def build_initial_tokens(
        self, messages: list[Message], *, tools: list[Any] | None = None
    ) -> list[int]: ...

    def merge_context_tokens(
        self,
        previous_messages: list[Message],
        updated_messages: list[Message],
        runtime_token_ids: list[int],
        *,
        tools: list[Any] | None = None,
    ) -> Any: ...


@dataclass(frozen=True)
class _Answered:
    """A call that ended by itself."""

    messages: list[Message]
    tools: list[Any]
    answer: Message
    tokens: list[int]
    """Of the prompt and of the answer."""


class Conversation:
    """The calls of one trial."""

    def __init__(self, builder: TokenBuilder) -> None:
        self._builder = builder
        self._answered: list[_Answered] = []

    def prompt_of(self, messages: list[Message], tools: list[Any]) -> list[int]:
        """The prompt's token ids. `messages` as `plain` makes them."""
        earlier = self._gone_on_from(messages, tools)
        if earlier is not None:
            before = [*earlier.messages, earlier.answer]
            # As they were answered: the builder wants the very same messages first.
            updated = [*before, *messages[len(before) :]]
            try:
                merged = self._builder.merge_context_tokens(
                    before, updated, earlier.tokens, tools=tools or None
                )
                return list(merged.token_ids)
            except ValueError:
                # A template that cannot render these roles one by one.
                pass
        return list(self._builder.build_initial_tokens(messages, tools=tools or None))

    def answered(
        self, messages: list[Message], tools: list[Any], answer: Message, tokens: list[int]
    ) -> None:
        """Notes a call that ended by itself; one that was cut has no end to go on from."""
        self._answered.append(_Answered(messages, tools, answer, tokens))

    def _gone_on_from(self, messages: list[Message], tools: list[Any]) -> _Answered | None:
        """Of the calls that these messages go on from the longest, and of several the last."""
        fitting = [
            call
            for call in self._answered
            if len(messages) > len(call.messages) + 1
            and call.tools == tools
            and _same(messages[len(call.messages)], call.answer)
            and messages[: len(call.messages)] == call.messages
        ]
        return max(reversed(fitting), key=lambda call: len(call.messages), default=None)


def plain(message: Mapping[str, Any]) -> Message:
    """The message as chat templates take it: one text, and arguments as objects. Raises BadMessage.

    vLLM does the same before it renders (vllm/entrypoints/chat_utils.py).
    """
    role = message.get("role")
    if not isinstance(role, str):
        raise BadMessage("a message has no role")
    one: Message = {"role": role, "content": _text(message.get("content"))}
    for key in ("tool_call_id", "name", "reasoning_content"):
        if message.get(key) is not None:
            one[key] = message[key]
    calls = message.get("tool_calls")
    if calls:
        one["tool_calls"] = [_plain_call(call) for call in calls]
    return one


def _text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadMessage("a message's content is neither text nor a list of parts")
    parts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            raise BadMessage(f"the policy reads text alone, and a message has a part of type {kind}")
        parts.append(text)
    return "\n".join(parts)


def _plain_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            # The policy's own words: it wrote no JSON.
            pass
    return {
        "id": call.get("id"),
        "type": "function",
        "function": {"name": function.get("name"), "arguments": arguments},
    }


def _same(message: Message, answer: Message) -> bool:
    """Whether an agent's message is the answer, but for spaces around it and ids that it has changed."""
    return (
        message["role"] == "assistant"
        and str(message["content"]).strip() == str(answer["content"]).strip()
        and _functions(message) == _functions(answer)
    )


def _functions(message: Message) -> list[Any]:
    return [call["function"] for call in message.get("tool_calls", [])]
