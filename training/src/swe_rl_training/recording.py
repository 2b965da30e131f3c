"""Calls of a trial, as the recorder has written them (docs/trajectories.md)."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_NAME = "litellm-trajectory.jsonl"


@dataclass(frozen=True)
class Call:
    """One completion: the prompt as the server saw it, and what it sampled."""

    id: str
    started: float
    """Unix time in seconds, as `ended`."""
    ended: float
    prompt: array[int]
    """Token ids."""
    sampled: array[int]
    """Token ids."""
    logprobs: array[float]
    """Natural logarithms, one for each sampled token."""
    finish_reason: str | None = None
    versions: tuple[int, int] | None = None
    """The oldest and the newest weights that it was sampled with, as verl counts them; None where unknown."""


@dataclass
class Recording:
    """What one trial's file says."""

    calls: list[Call]
    """In the order in which they began."""
    unusable: Counter[str] = field(default_factory=Counter)
    """Lines of which no token can be trained on, by reason."""


def read(file: Path) -> Recording:
    """The calls of a trial. A file that is not there has none: the agent never called."""
    try:
        with file.open("rb") as lines:
            return parse(lines)
    except FileNotFoundError:
        return Recording([])


def parse(lines: Iterable[bytes]) -> Recording:
    """The calls of the lines; a line that is still being written, or was cut by a full disk, is unusable."""
    recording = Recording([])
    for line in lines:
        try:
            record = json.loads(line)
            found = call_of(record) if isinstance(record, dict) else "no record"
        except ValueError:
            found = "torn line"
        if isinstance(found, Call):
            recording.calls.append(found)
        else:
            recording.unusable[found] += 1
    recording.calls.sort(key=lambda call: call.started)
    return recording


def call_of(record: Mapping[str, Any]) -> Call | str:
    """The call of a line, or why none of its tokens can be trained on."""
    outcome = record.get("outcome")
    if outcome != "complete":
        # What a broken call has sampled is no answer that the agent went on with.
        return str(outcome)
    choices = (record.get("response_body") or {}).get("choices") or []
    if len(choices) != 1:
        return "several answers"
    [choice] = choices
    prompt = record.get("prompt_token_ids") or choice.get("prompt_token_ids")
    ids, logprobs = choice.get("token_ids"), choice.get("logprobs")
    if not prompt or ids is None or logprobs is None:
        return "without token ids or log-probabilities"
    if len(ids) != len(logprobs):
        return "ids and log-probabilities of different length"
    if not ids:
        return "nothing sampled"
    return Call(
        id=str(record.get("id")),
        started=float(record.get("started") or 0),
        ended=float(record.get("ended") or record.get("started") or 0),
        prompt=array("q", prompt),
        sampled=array("q", ids),
        logprobs=array("d", logprobs),
        finish_reason=choice.get("finish_reason"),
    )
