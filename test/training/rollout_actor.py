"""A rollout server as verl's loops call it: the policy of `policy.py` in a Ray actor, whose weights may change mid-answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policy import Policy
from scripts import Solver
from swe_rl_training.rehearsal.model import CLOSE, OPEN
from transformers import AutoTokenizer
from verl.workers.rollout.replica import TokenOutput

MESSAGE = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)


class RolloutActor:
    """`cut_every`: of so many answers one is cut in the middle by a weight sync; 0 cuts none."""

    def __init__(self, model: Path, cut_every: int, seed: int) -> None:
        self._policy = Policy(
            "rollout", tokenizer=AutoTokenizer.from_pretrained(model), script=Solver(seed=seed)
        )
        self._cut_every = cut_every
        self._open: dict[tuple[int, ...], list[int]] = {}
        """Answers that were cut: what was still to come."""
        self._steps = 0
        self.sampled: list[dict[str, Any]] = []

    async def generate(
        self, *, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        del request_id  # verl gives every call another one
        script = self._open.pop(tuple(prompt_ids), None) or self._script(prompt_ids)
        room = sampling_params["max_tokens"]
        reason = "completed"
        if self._cut_every and len(self.sampled) % self._cut_every == 1 and len(script) > 3:
            script, rest = script[: len(script) // 2], script[len(script) // 2 :]
            reason = "aborted"
        drawn = self._policy.draw(prompt_ids[-1], script[:room])
        ids = [token for token, _ in drawn]
        if reason == "aborted":
            self._open[(*prompt_ids, *ids)] = rest
        logprobs = [logprob for _, logprob in drawn]
        before = self._steps
        self._steps += reason == "aborted"
        self.sampled.append(
            {"prompt": prompt_ids, "ids": ids, "logprobs": logprobs}
        )
        return TokenOutput(
            token_ids=ids,
            log_probs=logprobs,
            stop_reason=reason,
            num_preempted=0,
            extra_fields={"global_steps": before},
        )

    def asked(self) -> list[dict[str, Any]]:
        return self.sampled

    def _script(self, prompt_ids: Sequence[int]) -> list[int]:
        messages, tools = read_prompt(self._policy.tokenizer.decode(prompt_ids))
        return self._policy.script_of(messages, tools)


def read_prompt(text: str) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """Messages and tools of a prompt that the template of `policy.py` has rendered."""
    messages: list[dict[str, Any]] = []
    tools: list[Mapping[str, Any]] = []
    for role, content in MESSAGE.findall(text):
        if role == "tools":
            tools = [json.loads(line) for line in content.splitlines()]
            continue
        said, opened, call = content.partition(OPEN)
        message: dict[str, Any] = {"role": role, "content": said}
        if opened and role == "assistant":
            message["tool_calls"] = [call.removesuffix(CLOSE)]
        messages.append(message)
    return messages, tools
