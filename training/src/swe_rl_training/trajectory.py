"""One sequence to train on, from the calls of a trial.

An agent renders its whole conversation anew for every call, so a trial is a set of calls and no
sequence. The sequence is what the server saw at one call, the *last* one, and what it sampled then.
A sampled token of an earlier call counts where the last prompt repeats that call's prompt and the
tokens up to it exactly: then its context in the sequence is the one in which it was sampled, and
its log-probability holds. Nothing is tokenized again.

Chat templates do not always append: they write tool calls anew, and leave out what was thought in
earlier turns. Tokens that come back otherwise are context (mask 0), and what follows still counts.

The last call is one from whose prompt no other call went on; of several, that with which most
sampled tokens count. So titles, summaries and sub-agents stay beside the trained thread, of a
repeated call the answer counts with which the agent went on, and of a conversation that was
compacted the part counts in which more was sampled.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .recording import Call


class Untrainable(Exception):
    """A trial without a token to train on. The message is the reason."""


@dataclass(frozen=True)
class Trajectory:
    """Prompt and response, as verl's AgentLoopOutput takes them, and what was left out."""

    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    """1 for sampled tokens, 0 for all others."""
    response_logprobs: list[float]
    """Of sampled tokens; 0.0 for all others."""
    calls: tuple[str, ...]
    """Ids of the calls with sampled tokens here, in order."""
    beside: tuple[str, ...]
    """Ids of the calls that are not of this thread."""
    rewritten: int
    """Sampled tokens of the thread that came back otherwise, and so are context."""
    is_truncated: bool
    """Whether the response was cut at its longest length."""
    versions: tuple[int, int] | None
    """The oldest and the newest weights that its calls were sampled with; None where unknown."""


@dataclass(frozen=True)
class _Thread:
    last: Call
    earlier: tuple[tuple[Call, int], ...]
    """Calls before it, by length of their prompts, with the number of their tokens that count."""

    @property
    def sampled(self) -> int:
        return len(self.last.sampled) + sum(count for _, count in self.earlier)


def stitch(calls: Sequence[Call], *, prompt_length: int, response_length: int) -> Trajectory:
    """The trial's sequence, cut to verl's `rollout.prompt_length` and `rollout.response_length`.

    A first prompt that is longer than `prompt_length` goes on in the response, with mask 0.
    Raises Untrainable.
    """
    if not calls:
        raise Untrainable("no call was recorded")
    thread = max(_threads(calls), key=lambda one: (one.sampled, one.last.started))
    sequence = thread.last.prompt + thread.last.sampled
    mask = bytearray(len(sequence))
    logprobs = array("d", bytes(8 * len(sequence)))
    for call, count in (*thread.earlier, (thread.last, len(thread.last.sampled))):
        start = len(call.prompt)
        # A call that begins inside another's answer has its first tokens from that.
        for offset in range(count):
            if not mask[start + offset]:
                mask[start + offset] = 1
                logprobs[start + offset] = call.logprobs[offset]
    first = thread.earlier[0][0] if thread.earlier else thread.last
    begin = min(len(first.prompt), prompt_length)
    end = min(len(sequence), begin + response_length)
    if not any(mask[begin:end]):
        raise Untrainable("no sampled token within the window")
    members = [call for call, count in thread.earlier if count > 0] + [thread.last]
    used = {call.id for call, _ in thread.earlier} | {thread.last.id}
    return Trajectory(
        prompt_ids=sequence[:begin].tolist(),
        response_ids=sequence[begin:end].tolist(),
        response_mask=list(mask[begin:end]),
        response_logprobs=logprobs[begin:end].tolist(),
        calls=tuple(call.id for call in members),
        beside=tuple(call.id for call in calls if call.id not in used),
        rewritten=sum(len(call.sampled) - count for call, count in thread.earlier),
        is_truncated=end < len(sequence),
        versions=_versions(members),
    )


def _versions(calls: Sequence[Call]) -> tuple[int, int] | None:
    known = [call.versions for call in calls if call.versions is not None]
    if not known:
        return None
    return min(oldest for oldest, _ in known), max(newest for _, newest in known)


def _threads(calls: Sequence[Call]) -> list[_Thread]:
    """The threads that end with calls from whose prompt no other call went on."""
    # Bytes compare at the speed of memory.
    answers: dict[bytes, list[Call]] = {}
    for call in calls:
        answers.setdefault(call.prompt.tobytes(), []).append(call)
    prompts = sorted(answers, key=len)
    before = {prompt: _longest_prefix(prompt, prompts[:i]) for i, prompt in enumerate(prompts)}
    ends = set(prompts) - set(before.values())
    return [_thread(last, before, answers) for prompt in ends for last in answers[prompt]]


def _longest_prefix(prompt: bytes, shorter: Sequence[bytes]) -> bytes | None:
    """Of prompts in the order of their lengths the last with which this one begins."""
    return next((one for one in reversed(shorter) if prompt.startswith(one)), None)


def _thread(
    last: Call, before: Mapping[bytes, bytes | None], answers: Mapping[bytes, Sequence[Call]]
) -> _Thread:
    earlier: list[tuple[Call, int]] = []
    prompt = before[last.prompt.tobytes()]
    while prompt is not None:
        counted = [
            (call, _common(call.sampled, last.prompt, len(call.prompt)))
            for call in answers[prompt]
        ]
        # Of answers to one prompt, that with which the agent went on.
        earlier.append(max(counted, key=lambda one: one[1]))
        prompt = before[prompt]
    return _Thread(last, tuple(reversed(earlier)))


def _common(sampled: array[int], sequence: array[int], start: int) -> int:
    """How many of the sampled tokens stand in the sequence from `start` on."""
    there = sequence[start : start + len(sampled)]
    if there == sampled:
        return len(sampled)
    return next(
        (i for i, (a, b) in enumerate(zip(sampled, there, strict=False)) if a != b), len(there)
    )
