"""Trials of one worker: a task in, a sample out, whatever happens in between."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harbor.models.trial.config import (
    EnvironmentConfig,
    TaskConfig,
    TrialConfig,
    VerifierConfig,
)
from harbor.models.trial.result import TimingInfo, TrialResult
from harbor.trial.trial import Trial

from .agents import agent_config
from .outcome import ALWAYS, RETRIED, Drop, failure_of, reward_of
from .policy import Access, Policy
from .recording import Recording
from .settings import Limits, Settings
from .tail import Tail
from .trajectory import Trajectory, Untrainable, stitch

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """What verl gets of a task."""

    trial: str
    """Name of the last attempt's directory."""
    drop: Drop | None
    """Why no token of it is trained on."""
    reward: float
    """The verifier's; 0 where there is none."""
    trajectory: Trajectory | None
    calls: int = 0
    unusable_calls: int = 0
    attempts: int = 1
    seconds: float = 0
    """The trial as a whole, without waiting for a slot."""
    policy_seconds: float = 0
    """Time in which the policy sampled, overlapping calls added up."""
    agent_seconds: float = 0
    verifier_seconds: float = 0


@dataclass(frozen=True)
class Wanted:
    """What verl wants of a sample."""

    prompt_length: int
    """Tokens: `rollout.prompt_length`."""
    response_length: int
    """Tokens: `rollout.response_length`."""
    is_validation: bool
    is_synchronous: bool
    """Whether the weights stay the same until the sample is there."""


class Trials:
    """Runs trials, and no more at once than this worker's share of them."""

    def __init__(self, settings: Settings, tail: Tail | None = None) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.parallel_trials)
        self._tail = tail

    async def sample(self, task: Path, policy: Policy, wanted: Wanted) -> Sample:
        """One sample of a task. Raises only when it is cancelled, and then no sandbox is left."""
        if self._tail is None or wanted.is_validation or not wanted.is_synchronous:
            return await self._sample(task, policy, wanted)
        begun = time.monotonic()

        def given_up() -> Sample:
            seconds = time.monotonic() - begun
            sample = Sample(task.name, Drop.TAIL_KILLED, 0, None, seconds=seconds)
            self._say(sample)
            return sample

        return await self._tail.or_given_up(lambda: self._sample(task, policy, wanted), given_up)

    async def _sample(self, task: Path, policy: Policy, wanted: Wanted) -> Sample:
        limits = self._settings.limits(is_validation=wanted.is_validation)
        async with self._slots:
            for attempt in range(1, limits.retries + 2):
                sample = await self._attempt(task, policy, wanted, limits)
                sample = replace(sample, attempts=attempt)
                self._say(sample)
                if sample.drop not in RETRIED:
                    break
        return sample

    async def _attempt(
        self, task: Path, policy: Policy, wanted: Wanted, limits: Limits
    ) -> Sample:
        name = f"{task.name[:40].rstrip('_-.')}__{secrets.token_hex(5)}"
        begun = time.monotonic()
        async with policy.serve(self._settings.trials_directory / name) as access:
            result, broke, why = await self._run(self._config(task, name, limits, access), limits)
            seconds = time.monotonic() - begun
        if broke is not None:
            return self._note(Sample(name, broke, 0, None, seconds=seconds), why)
        sample = self._judge(name, result, access.recording, wanted)
        if result is not None and result.exception_info is not None:
            why = result.exception_info.exception_message
        return self._note(replace(sample, seconds=seconds), why)

    async def _run(
        self, config: TrialConfig, limits: Limits
    ) -> tuple[TrialResult | None, Drop | None, str]:
        """Harbor's result, None past the deadline; or why there is none, and in which words.

        Harbor ends the sandbox in each of these cases, as it does when this is cancelled.
        """
        try:
            trial = await Trial.create(config)
        except OSError as error:
            return None, _storage_or(Drop.TASK_INVALID, error), repr(error)
        except Exception as error:
            # A task's files are data: whatever is wrong with them is that task's affair.
            return None, Drop.TASK_INVALID, repr(error)
        try:
            return await asyncio.wait_for(trial.run(), limits.trial_seconds), None, ""
        except TimeoutError:
            return None, None, f"over its deadline of {limits.trial_seconds:g} s"
        except OSError as error:
            return None, _storage_or(Drop.HARBOR_FAILED, error), repr(error)
        except Exception as error:
            logger.exception("%s: Harbor broke off", config.trial_name)
            return None, Drop.HARBOR_FAILED, repr(error)

    def _config(self, task: Path, name: str, limits: Limits, access: Access) -> TrialConfig:
        settings = self._settings
        sandbox, multipliers = settings.sandbox, settings.multipliers
        return TrialConfig(
            task=TaskConfig(path=task),
            trial_name=name,
            trials_dir=settings.trials_directory,
            environment_build_timeout_multiplier=multipliers.environment_build,
            agent_setup_timeout_multiplier=multipliers.agent_setup,
            agent_timeout_multiplier=multipliers.agent,
            verifier_timeout_multiplier=multipliers.verifier,
            agent=agent_config(
                settings.agent,
                proxy_url=access.url,
                key=access.key,
                most_seconds=limits.agent_seconds,
            ),
            environment=EnvironmentConfig(
                import_path=sandbox.import_path,
                force_build=sandbox.force_build,
                delete=sandbox.delete,
                override_cpus=sandbox.cpus,
                override_memory_mb=sandbox.memory_mb,
                kwargs=_bounds(limits),
            ),
            verifier=VerifierConfig(disable=not settings.verifies),
        )

    def _judge(
        self, name: str, result: TrialResult | None, recording: Recording, wanted: Wanted
    ) -> Sample:
        reward = reward_of(result) if result else None
        if not self._settings.verifies:
            reward = 0.0
        folder = self._settings.trials_directory / name
        drop = failure_of(result, folder / "agent") if result else Drop.DEADLINE
        if drop not in ALWAYS and reward is None:
            drop = Drop.VERIFIER_FAILED
        trajectory = None
        if drop not in ALWAYS:
            try:
                trajectory = stitch(
                    recording.calls,
                    prompt_length=wanted.prompt_length,
                    response_length=wanted.response_length,
                )
                if wanted.is_synchronous and _spans_weights(trajectory):
                    drop = Drop.WEIGHTS_CHANGED
                if trajectory.is_truncated and drop is None:
                    drop = Drop.OVERLONG
            except Untrainable:
                drop = Drop.NO_SAMPLED_TOKEN if recording.calls else Drop.NO_CALL
        if drop not in ALWAYS and drop not in self._settings.drop_reasons:
            drop = None
        return Sample(
            trial=name,
            drop=drop,
            reward=reward or 0.0,
            trajectory=None if drop else trajectory,
            calls=len(recording.calls),
            unusable_calls=sum(recording.unusable.values()),
            policy_seconds=sum(call.ended - call.started for call in recording.calls),
            agent_seconds=_seconds(result.agent_execution) if result else 0,
            verifier_seconds=_seconds(result.verifier) if result else 0,
        )

    def _note(self, sample: Sample, why: str) -> Sample:
        """Writes beside the trial's other files what was made of it."""
        trajectory = sample.trajectory
        note: dict[str, Any] = {
            "drop": sample.drop,
            "why": why,
            "reward": sample.reward,
            "calls": sample.calls,
            "unusable_calls": sample.unusable_calls,
            "seconds": round(sample.seconds, 1),
        }
        if trajectory is not None:
            note |= {
                "prompt_tokens": len(trajectory.prompt_ids),
                "response_tokens": len(trajectory.response_ids),
                "sampled_tokens": sum(trajectory.response_mask),
                "thread": trajectory.calls,
                "beside": trajectory.beside,
                "rewritten": trajectory.rewritten,
                "is_truncated": trajectory.is_truncated,
                "weights": trajectory.versions,
            }
        file = self._settings.trials_directory / sample.trial / "sample.json"
        try:
            file.write_text(json.dumps(note, indent=1))
        except OSError as error:
            logger.warning("%s: its sample.json is not written: %s", sample.trial, error)
        return sample

    def _say(self, sample: Sample) -> None:
        if sample.drop is None:
            logger.info(
                "%s: reward %g, %d calls, %.0f s",
                sample.trial, sample.reward, sample.calls, sample.seconds,
            )
        else:
            logger.warning(
                "%s: not trained on: %s, attempt %d, %.0f s",
                sample.trial, sample.drop, sample.attempts, sample.seconds,
            )


def _bounds(limits: Limits) -> dict[str, Any]:
    """What our environment on clusters takes; Harbor's own on a Docker host must not get it."""
    if limits.startup_seconds is None:
        return {}
    return {
        "startup_timeout_sec": limits.startup_seconds,
        "active_deadline_sec": int(limits.trial_seconds),
    }


FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def _storage_or(other: Drop, error: OSError) -> Drop:
    return Drop.STORAGE_FAILED if error.errno in FULL else other


def _spans_weights(trajectory: Trajectory) -> bool:
    return trajectory.versions is not None and len(set(trajectory.versions)) > 1


def _seconds(phase: TimingInfo | None) -> float:
    if phase is None or phase.started_at is None or phase.finished_at is None:
        return 0
    return (phase.finished_at - phase.started_at).total_seconds()
