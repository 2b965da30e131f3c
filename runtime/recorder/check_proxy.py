"""The agents' way to the policy: LiteLLM, the recorder, a rollout server, and the record of the call.

Agents speak Anthropic's surface or OpenAI's, so both are called, with the sandboxes' key. A call
counts only when its record lies on the trials' volume with every sampled token's id and
log-probability: that record is all that training learns from. Standard library only.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import completion
from sampled import parse
from trajectories import FILE_NAME, PATH_HEADER

TRIAL = "policy-check"
"""Directory of the records of these calls, beside the trials'."""

SURFACES = {"Anthropic": "/v1/messages", "OpenAI": "/v1/chat/completions"}

RECORD_SECONDS = 60.0
"""A line is written when its call has ended; a network volume may show it late."""


class NoRecord(Exception):
    """The call was answered and cannot be trained on."""


class ProxyWay:
    """`trials`: the directory in which the recorder writes, as it is mounted here."""

    def __init__(self, url: str, key: str, model: str, trials: Path) -> None:
        self._client = completion.client_of(url)
        self._key = key
        self._model = model
        self._records = trials / TRIAL / FILE_NAME

    def complete(self, surface: str) -> str:
        """One completion; returns the nonce of its request. Raises NoAnswer."""
        nonce = uuid.uuid4().hex
        content = f"Say one word. This is request {nonce}."
        body = {
            "model": self._model,
            "max_tokens": 8,
            "temperature": 1,
            "messages": [{"role": "user", "content": content}],
        }
        headers = {
            "authorization": f"Bearer {self._key}",
            PATH_HEADER: f"/{TRIAL}/{FILE_NAME}",
        }
        completion.complete(self._client, SURFACES[surface], body, headers)
        return nonce

    def await_record(self, nonce: str, seconds: float) -> int:
        """Sampled tokens of the record of a call. Raises NoRecord."""
        until = time.monotonic() + seconds
        while (record := self._record_of(nonce)) is None:
            if time.monotonic() > until:
                raise NoRecord(f"{seconds:g} s after its answer {self._records} has no line of it")
            time.sleep(1)
        return tokens_of(record)

    def _record_of(self, nonce: str) -> dict[str, Any] | None:
        lines = (line for line in self._lines() if nonce.encode() in line)
        return next((parse(line) for line in lines), None)

    def _lines(self) -> Iterator[bytes]:
        try:
            with self._records.open("rb") as file:
                # What has no end yet is still being written.
                yield from (line for line in file if line.endswith(b"\n"))
        except OSError:
            # Not there yet, or not visible here yet.
            return


def tokens_of(record: dict[str, Any]) -> int:
    """How many tokens a record has. Raises NoRecord unless it can be trained on."""
    if record["outcome"] != "complete":
        raise NoRecord(f"its record says {record['outcome']}: {record['error']}")
    [choice] = record["response_body"]["choices"]
    ids, logprobs = choice["token_ids"], choice["logprobs"]
    prompt = record["prompt_token_ids"] or choice.get("prompt_token_ids")
    if not prompt or not ids or len(ids) != len(logprobs or ()):
        raise NoRecord(
            "its record lacks token ids or their log-probabilities, so no trial could be trained on"
        )
    return len(ids)
