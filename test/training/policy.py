"""A policy that samples real tokens: a bigram model over a tokenizer made on the spot, behind vLLM's OpenAI surface.

Its logits come from a fixed random matrix. Where a script has the next token, that token gets a
bonus, so the text is nearly always the script's, every token is drawn from a softmax, and its
log-probability is the one of the draw. Parsing is that of vLLM's `hermes` parser.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from support.backend import Backend, Call, Token
from swe_rl_training.rehearsal.chat import shell_of
from swe_rl_training.rehearsal.model import CLOSE, OPEN
from transformers import PreTrainedTokenizerFast

@dataclass(frozen=True)
class Turn:
    """What the policy means to say."""

    text: str
    command: str | None = None
    """A shell command to run by the agent's tool, if it has one."""
    compact: bool = False
    """Whether the call's JSON is written as no template would write it again."""


Script = Callable[[list[dict[str, Any]]], Turn]
"""The next turn, after the messages of a request."""


@dataclass
class Policy(Backend):
    """A rollout server."""

    tokenizer: PreTrainedTokenizerFast = field(kw_only=True)
    script: Script = field(kw_only=True)

    def __post_init__(self) -> None:
        size = len(self.tokenizer)
        self._logits = np.random.default_rng(7).normal(size=(size, size // 8))
        self._random = random.Random(11)
        self._lock = threading.Lock()
        self._names = 0

    def prompt(self, body: dict[str, Any]) -> list[int]:
        messages = [_with_mappings(message) for message in body["messages"]]
        ids = self.tokenizer.apply_chat_template(
            messages, tools=body.get("tools"), add_generation_prompt=True, return_dict=False
        )
        return list(ids)

    def sampled(self, call: Call) -> list[Token]:
        script = self.script_of(call.body["messages"], call.body.get("tools") or [])
        with self._lock:
            drawn = self.draw(call.prompt_token_ids[-1], script)
            self._names += 1
            name = f"call_{self._names:08d}"
        return list(self._pieces_of(drawn, name))

    def script_of(
        self, messages: list[dict[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> list[int]:
        """Tokens of what the policy means to say."""
        turn = self.script(messages)
        tool = shell_of(tools) if turn.command else None
        parts = [turn.text]
        if tool is not None and turn.command is not None:
            call = {"name": tool.name, "arguments": tool.arguments(turn.command)}
            text = json.dumps(call, separators=(",", ":") if turn.compact else None)
            parts.append(f"{OPEN}{text}{CLOSE}")
        script = self.tokenizer.encode("".join(parts), add_special_tokens=False)
        return [*script, self.tokenizer.eos_token_id]

    def draw(self, last: int, script: Sequence[int]) -> list[tuple[int, float]]:
        """Tokens and log-probabilities, from logits of the token before and a bonus for the script."""
        drawn: list[tuple[int, float]] = []
        for wanted in script:
            logits = np.resize(self._logits[last], len(self.tokenizer)).copy()
            logits[wanted] += 22.0
            logits -= logits.max()
            logprobs = logits - np.log(np.exp(logits).sum())
            token = self._random.choices(range(len(logprobs)), np.exp(logprobs))[0]
            drawn.append((token, float(logprobs[token])))
            last = token
        return drawn

    def _pieces_of(self, drawn: Sequence[tuple[int, float]], name: str) -> Any:
        """As vLLM streams them: text token by token, a tool call once it is whole."""
        opened, closed = self.tokenizer.convert_tokens_to_ids([OPEN, CLOSE])
        inside: list[int] | None = None
        for id, logprob in drawn:
            piece: dict[str, Any] = {}
            if id == opened:
                inside = []
            elif id == closed and inside is not None:
                piece, inside = _tool_call(self.tokenizer.decode(inside), name), None
            elif inside is not None:
                inside.append(id)
            elif id != self.tokenizer.eos_token_id:
                piece = {"content": self.tokenizer.decode([id])}
            yield Token(id, logprob, piece)


def _with_mappings(message: dict[str, Any]) -> dict[str, Any]:
    """As vLLM does before it renders: arguments of tool calls as objects."""
    calls = message.get("tool_calls")
    if not calls:
        return {**message, "tool_calls": None}
    parsed = []
    for call in calls:
        function = call["function"]
        arguments = function["arguments"]
        if isinstance(arguments, str):
            arguments = json.loads(arguments or "{}")
        parsed.append({**call, "function": {**function, "arguments": arguments}})
    return {**message, "tool_calls": parsed}


def _tool_call(text: str, name: str) -> dict[str, Any]:
    try:
        call = json.loads(text)
        function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    except (ValueError, KeyError, TypeError):
        return {"content": f"{OPEN}{text}{CLOSE}"}
    return {"tool_calls": [{"index": 0, "id": name, "type": "function", "function": function}]}
