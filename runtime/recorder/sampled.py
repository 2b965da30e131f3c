"""What one call has sampled: asks vLLM for token ids and log-probabilities, and keeps them.

vLLM's OpenAI surface gives them only when asked: `return_token_ids` (vLLM 0.10.2 and newer) and
`logprobs`, a switch for chat completions and a number for completions, where 0 is the sampled token
alone. Clients did not ask, so what was added to the request is taken out of the answer again. No
network and no files here.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"

TOKEN_BOUNDS = ("max_completion_tokens", "max_tokens")
"""Names of the bound on sampled tokens; vLLM takes the first before the second."""


def parse(text: bytes) -> dict[str, Any]:
    """A JSON object; ValueError for everything else."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass
class Choice:
    """One sampled answer. Arrays, since 192 answers of 68,000 tokens would fill memory as lists."""

    token_ids: array[int] | None = None
    logprobs: array[float] | None = None
    prompt_token_ids: array[int] | None = None
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    finish_reason: str | None = None
    stop_reason: object = None

    def keep(self, choice: Mapping[str, Any]) -> None:
        """Adds a choice of an answer, or of one chunk of it."""
        ids = choice.get("token_ids")
        if isinstance(ids, list):
            self.token_ids = self.token_ids if self.token_ids is not None else array("q")
            self.token_ids.extend(ids)
        chances = _logprobs_of(choice.get("logprobs"))
        if chances is not None:
            # With `echo`, completions list the prompt's first.
            own = chances if not isinstance(ids, list) else chances[len(chances) - len(ids) :]
            self.logprobs = self.logprobs if self.logprobs is not None else array("d")
            self.logprobs.extend(own)
        if isinstance(choice.get("prompt_token_ids"), list):
            self.prompt_token_ids = array("q", choice["prompt_token_ids"])
        self._keep_text(choice)
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        self.stop_reason = choice.get("stop_reason") or self.stop_reason

    def _keep_text(self, choice: Mapping[str, Any]) -> None:
        part = choice.get("delta") or choice.get("message") or {}
        self.text.append(choice.get("text") or part.get("content") or "")
        self.reasoning.append(part.get("reasoning") or part.get("reasoning_content") or "")
        for position, call in enumerate(part.get("tool_calls") or []):
            known = self.tool_calls.setdefault(
                call.get("index", position),
                {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
            )
            known["id"] = call.get("id") or known["id"]
            function = call.get("function") or {}
            for name in ("name", "arguments"):
                known["function"][name] += function.get(name) or ""

    @property
    def is_exact(self) -> bool:
        """Whether every sampled token is here with its log-probability."""
        if self.token_ids is None or self.logprobs is None:
            return False
        return len(self.token_ids) == len(self.logprobs)

    def as_json(self, index: int, path: str) -> dict[str, Any]:
        """The choice as an answer that is not streamed has it."""
        text = "".join(self.text)
        content: dict[str, Any] = {"text": text}
        if path == CHAT:
            message: dict[str, Any] = {"role": "assistant", "content": text}
            if any(self.reasoning):
                message["reasoning"] = "".join(self.reasoning)
            if self.tool_calls:
                message["tool_calls"] = [call for _, call in sorted(self.tool_calls.items())]
            content = {"message": message}
        if self.prompt_token_ids is not None:
            content["prompt_token_ids"] = self.prompt_token_ids.tolist()
        return {
            "index": index,
            **content,
            "finish_reason": self.finish_reason,
            "stop_reason": self.stop_reason,
            "token_ids": _listed(self.token_ids),
            "logprobs": _listed(self.logprobs),
        }


def _bounded(path: str, body: Mapping[str, Any], most: int) -> int | None:
    """The smaller of what the client asks for and the bound; None without either."""
    asked = next((body[name] for name in TOKEN_BOUNDS if body.get(name) is not None), None)
    if not isinstance(asked, int) or isinstance(asked, bool):
        # What is no number the server itself refuses; completions without one have vLLM's 16.
        return asked if asked is not None or path != CHAT else most or None
    return min(asked, most) if most else asked


def _listed(values: array[Any] | None) -> list[Any] | None:
    return None if values is None else values.tolist()


def _logprobs_of(given: object) -> list[float] | None:
    """Log-probabilities of the sampled tokens, in the form of either route."""
    if not isinstance(given, dict):
        return None
    if isinstance(given.get("content"), list):
        return [token["logprob"] for token in given["content"]]
    if isinstance(given.get("token_logprobs"), list):
        # The first token of an echoed prompt has none.
        return [0.0 if chance is None else chance for chance in given["token_logprobs"]]
    return None


class Sampled:
    """The answer to one request, as it comes."""

    def __init__(self, path: str, body: Mapping[str, Any], most_tokens: int = 0) -> None:
        """`path`: CHAT or COMPLETIONS; `body`: the client's request; `most_tokens`: how many tokens
        it may sample at most, 0 for as many as it says."""
        self._path = path
        self.max_tokens = _bounded(path, body, most_tokens)
        """How many tokens the server is asked for at most; None: up to the window's end."""
        self._body = body
        self._ids_wanted = bool(body.get("return_token_ids"))
        logprobs = body.get("logprobs")
        self._logprobs_wanted = bool(logprobs) if path == CHAT else logprobs is not None
        self._reasoning_wanted = body.get("include_reasoning") is not False
        self._rest = b""
        self._answer_id: object = None
        self._usage: object = None
        self._prompt_token_ids: array[int] | None = None
        self.is_whole = False
        """Whether the answer has come to the end that its form has."""
        self.choices: dict[int, Choice] = {}
        self.error: str | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The request as the server gets it."""
        asked = {**self._body, "return_token_ids": True}
        for name in TOKEN_BOUNDS:
            asked.pop(name, None)
        if self.max_tokens is not None:
            asked["max_tokens"] = self.max_tokens
        if not self._logprobs_wanted:
            asked["logprobs"] = True if self._path == CHAT else 0
        if not self._reasoning_wanted:
            # vLLM leaves out the token ids together with the reasoning.
            asked["include_reasoning"] = True
        return asked

    def lift_bound(self) -> bool:
        """Lets the server sample up to the window's end; returns whether there was a bound.

        vLLM refuses a bound that the window has no room for after the prompt, and without one takes
        what is left. Completions have 16 then, so theirs stays.
        """
        if not isinstance(self.max_tokens, int) or self._path != CHAT:
            return False
        self.max_tokens = None
        return True

    @property
    def has_tokens(self) -> bool:
        return any(choice.token_ids for choice in self.choices.values())

    @property
    def is_exact(self) -> bool:
        prompt = self._prompt_token_ids
        return bool(self.choices) and all(
            choice.is_exact and (prompt or choice.prompt_token_ids)
            for choice in self.choices.values()
        )

    def whole(self, content: bytes) -> bytes:
        """Keeps an answer that is not streamed; returns what the client is to get."""
        answer = parse(content)
        self._keep(answer)
        self.is_whole = True
        return json.dumps(answer, separators=(",", ":")).encode()

    def stream(self, data: bytes) -> bytes:
        """Keeps a piece of a streamed answer; returns what the client is to get of it now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return b"".join(kept + b"\n" for line in lines if (kept := self._line(line)) is not None)

    def end(self) -> None:
        """The answer has come to its end. Sets `error` if that end is not a proper one."""
        if self.error is None and not self.is_whole:
            self.error = "the answer ended before it was complete"
        for choice in self.choices.values():
            if self.error is None and choice.finish_reason in (None, "abort", "error"):
                self.error = f"the server ended the generation ({choice.finish_reason})"

    def as_json(self) -> dict[str, Any]:
        """What the record says of the answer."""
        return {
            "max_tokens": self.max_tokens,
            "prompt_token_ids": _listed(self._prompt_token_ids),
            "response_body": {
                "id": self._answer_id,
                "choices": [
                    choice.as_json(index, self._path)
                    for index, choice in sorted(self.choices.items())
                ],
                "usage": self._usage,
            },
        }

    def _line(self, line: bytes) -> bytes | None:
        """One line of a stream as the client gets it; None: not at all."""
        if not line.startswith(b"data:"):
            return line
        payload = line[5:].strip()
        if payload == b"[DONE]":
            self.is_whole = True
            return line
        try:
            chunk = parse(payload)
            is_only_ours = self._keep(chunk)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            self.error = f"the server sent a chunk that is not vLLM's: {error}"
            return line
        if is_only_ours:
            return None
        return b"data: " + json.dumps(chunk, separators=(",", ":")).encode()

    def _keep(self, answer: dict[str, Any]) -> bool:
        """Keeps an answer or a chunk, and takes out of it what the client did not ask for.

        Returns whether nothing is left that the server would have sent without our asking.
        """
        if answer.get("error"):
            self.error = str(answer["error"])[:2000]
        self._answer_id = answer.get("id") or self._answer_id
        self._usage = answer.get("usage") or self._usage
        if isinstance(answer.get("prompt_token_ids"), list):
            self._prompt_token_ids = array("q", answer["prompt_token_ids"])
        self._take(answer, "prompt_token_ids", self._ids_wanted)
        choices = [choice for choice in answer.get("choices") or [] if isinstance(choice, dict)]
        for choice in choices:
            self.choices.setdefault(choice.get("index") or 0, Choice()).keep(choice)
        is_ours = bool(choices) and all(choice.get("token_ids") for choice in choices)
        for choice in choices:
            self._take(choice, "prompt_token_ids", self._ids_wanted)
            self._take(choice, "token_ids", self._ids_wanted)
            self._take(choice, "logprobs", self._logprobs_wanted)
            if not self._reasoning_wanted:
                part = choice.get("delta") or choice.get("message") or {}
                for name in ("reasoning", "reasoning_content"):
                    part.pop(name, None)
        # While a tool call is parsed, vLLM sends empty chunks only to deliver token ids.
        return (
            is_ours
            and not (self._ids_wanted or self._logprobs_wanted or answer.get("usage"))
            and all(_is_empty(choice) for choice in choices)
        )

    @staticmethod
    def _take(holder: dict[str, Any], name: str, wanted: bool) -> None:
        """Sets to null, as vLLM does without a request for them."""
        if name in holder and not wanted:
            holder[name] = None


def _is_empty(choice: Mapping[str, Any]) -> bool:
    """Whether a chunk of a chat says nothing."""
    delta = choice.get("delta")
    return isinstance(delta, dict) and not any(delta.values()) and not choice.get("finish_reason")
