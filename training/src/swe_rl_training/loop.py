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

import ray
from ray.util.metrics import Counter
from transformers import GenerationConfig
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
)
from verl.experimental.agent_loop.tool_parser import ToolParser

from .in_process import PolicyServer, Sampler
from .policy import InProcess, Policy, Recorded
from .settings import InProcessProxy, LiteLlm, Settings
from .tail import Tail
from .trials import Sample, Trials, Wanted


class BadRow(ValueError):
    """A row of the task index that names no task."""


class HarborAgentLoop(AgentLoopBase):
    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """`kwargs`: the row of the index. Raises BadRow."""
        task, is_validation = self._task_of(kwargs)
        # verl's fully asynchronous trainer has this section, and no other.
        is_synchronous = "async_training" not in self.config
        wanted = Wanted(
            prompt_length=self.rollout_config.prompt_length,
            response_length=self.rollout_config.response_length,
            is_validation=is_validation,
            is_synchronous=is_synchronous,
        )
        policy = self._policy(sampling_params, kwargs)
        before = None if is_synchronous else await self._weights()
        sample = await _worker().sample(task, policy, wanted)
        _count(sample)
        versions = sample.trajectory.versions if sample.trajectory else None
        if versions is None and before is not None:
            versions = before, await self._weights()
        return output_of(sample, padding=self._padding(), versions=versions)

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

    def _policy(self, sampling_params: Mapping[str, Any], row: Mapping[str, Any]) -> Policy:
        proxy = _settings().proxy
        if isinstance(proxy, LiteLlm):
            return Recorded(proxy)
        agent = _settings().agent
        sampler = Sampler(
            servers=self.server_manager,
            tokenizer=self.tokenizer,
            builder=self.continuous_token_builder,
            parser=ToolParser.get_tool_parser(proxy.tool_parser, self.tokenizer),
            parameters=dict(sampling_params),
            stops=_stops(str(self.config.actor_rollout_ref.model.path), self.tokenizer.eos_token_id),
            window=agent.window,
            call_tokens=agent.call_tokens,
            priority=int(row.get("priority", 0)),
        )
        return InProcess(_server(proxy), sampler)

    def _padding(self) -> int:
        token = self.tokenizer.pad_token_id
        return 0 if token is None else int(token)

    async def _weights(self) -> int:
        """The weights that the servers have now, as verl counts them: any answer says so."""
        answer = await self.server_manager.generate(
            "weights", prompt_ids=[self._padding()], sampling_params={"max_tokens": 1}
        )
        return int(answer.extra_fields.get("global_steps") or 0)


@functools.cache
def _settings() -> Settings:
    return Settings.from_environment()


@functools.cache
def _worker() -> Trials:
    """What all loops of this process share."""
    logging.getLogger(__package__).setLevel(logging.INFO)
    # Each trial has a log of its own; Harbor would write all of it here, too.
    logging.getLogger("harbor").propagate = False
    kill = _settings().tail_kill
    return Trials(_settings(), Tail(kill) if kill.target < 1 else None)


@functools.cache
def _server(proxy: InProcessProxy) -> PolicyServer:
    return PolicyServer(ray.util.get_node_ip_address(), proxy.ports)


@functools.cache
def _stops(model: str, of_tokenizer: int | None) -> frozenset[int]:
    """Tokens at which vLLM ends an answer: the tokenizer's, and those of generation_config.json."""
    try:
        ids = GenerationConfig.from_pretrained(model).eos_token_id
    except OSError:
        ids = None
    several = ids if isinstance(ids, list) else [ids]
    return frozenset(int(id) for id in [of_tokenizer, *several] if id is not None)


@functools.cache
def _trials() -> Counter:
    return Counter(
        "swe_rl_trials", "Trials by what came of them: trained, or why not.", ("outcome",)
    )


def _count(sample: Sample) -> None:
    _trials().inc(tags={"outcome": str(sample.drop or "trained")})


def output_of(
    sample: Sample, *, padding: int, versions: tuple[int, int] | None = None
) -> AgentLoopOutput:
    """The sample as verl takes it."""
    trajectory = sample.trajectory
    metrics = AgentLoopMetrics(
        generate_sequences=sample.policy_seconds,
        tool_calls=max(0.0, sample.agent_seconds - sample.policy_seconds),
        compute_score=sample.verifier_seconds,
    )
    about: dict[str, Any] = {
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
    if versions is not None:
        # The fully asynchronous trainer takes the difference of both, of every sample.
        about["min_global_steps"], about["max_global_steps"] = versions
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
