"""verl's agent loop: a row of the task index is one trial of Harbor's.

verl 0.9.1 makes an instance for every sample and asks for an AgentLoopOutput, whatever happened
(verl/experimental/agent_loop/agent_loop.py), so a trial that cannot be trained on becomes one token
with mask 0 and reward 0.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.util.metrics import Counter
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
)

from .settings import Settings
from .trials import Lengths, Sample, Trials


class BadRow(ValueError):
    """A row of the task index that names no task."""


class HarborAgentLoop(AgentLoopBase):
    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """`kwargs`: the row of the index. Raises BadRow."""
        task, is_validation = self._task_of(kwargs)
        lengths = Lengths(self.rollout_config.prompt_length, self.rollout_config.response_length)
        sample = await _worker().sample(task, lengths, is_validation=is_validation)
        _count(sample)
        return output_of(sample, padding=self._padding())

    def _task_of(self, row: Mapping[str, Any]) -> tuple[Path, bool]:
        """The task's folder, and whether the row is one of validation."""
        about = row.get("extra_info") or {}
        if not about.get("task"):
            raise BadRow(
                "a row of the task index has no extra_info.task: make it with "
                "python3 -m swe_rl_training.index"
            )
        is_validation = about.get("split") == "val"
        files = self.config.data.val_files if is_validation else self.config.data.train_files
        index = Path(files if isinstance(files, str) else files[0])
        return (index.parent / about["task"]).resolve(), is_validation

    def _padding(self) -> int:
        token = self.tokenizer.pad_token_id
        return 0 if token is None else int(token)


@functools.cache
def _worker() -> Trials:
    """What all loops of this process share."""
    logging.getLogger(__package__).setLevel(logging.INFO)
    # Each trial has a log of its own; Harbor would write all of it here, too.
    logging.getLogger("harbor").propagate = False
    return Trials(Settings.from_environment())


@functools.cache
def _trials() -> Counter:
    return Counter(
        "swe_rl_trials", "Trials by what came of them: trained, or why not.", ("outcome",)
    )


def _count(sample: Sample) -> None:
    _trials().inc(tags={"outcome": str(sample.drop or "trained")})


def output_of(sample: Sample, *, padding: int) -> AgentLoopOutput:
    """The sample as verl takes it."""
    trajectory = sample.trajectory
    metrics = AgentLoopMetrics(
        generate_sequences=sample.policy_seconds,
        tool_calls=max(0.0, sample.agent_seconds - sample.policy_seconds),
        compute_score=sample.verifier_seconds,
    )
    about = {
        # verl averages these over validation, each as val-aux/<source>/<name>.
        "reward_extra_info": {
            "is_dropped": float(sample.drop is not None),
            "calls": float(sample.calls),
            "attempts": float(sample.attempts),
        },
        "trial": sample.trial,
        "drop": str(sample.drop or ""),
        "turn_scores": [],
        "tool_rewards": [],
    }
    if trajectory is None:
        return AgentLoopOutput(
            prompt_ids=[padding],
            response_ids=[padding],
            response_mask=[0],
            response_logprobs=[0.0],
            reward_score=0.0,
            num_turns=0,
            metrics=metrics,
            extra_fields=about,
        )
    return AgentLoopOutput(
        prompt_ids=trajectory.prompt_ids,
        response_ids=trajectory.response_ids,
        response_mask=trajectory.response_mask,
        response_logprobs=trajectory.response_logprobs,
        reward_score=sample.reward,
        num_turns=2 * len(trajectory.calls),
        metrics=metrics,
        extra_fields=about,
    )
