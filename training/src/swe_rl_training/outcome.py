"""What came of a trial, and why it is not trained on, from Harbor's result."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from harbor.models.trial.error_policy import FailureCause
from harbor.models.trial.result import TrialResult


class Drop(StrEnum):
    """Why no token of a trial is trained on (docs/trajectories.md).

    Some are values of `algorithm.trajectory_filter.drop_reasons`.
    """

    TASK_INVALID = "task_invalid"
    """Harbor cannot read the task."""
    ENV_SETUP_FAILED = "env_setup_failed"
    """The sandbox did not start, or the agent could not be set up in it."""
    SANDBOX_LOST = "sandbox_lost"
    """The sandbox ended under the agent or the verifier."""
    POLICY_UNREACHABLE = "policy_unreachable"
    """The agent gave up on the proxy."""
    AGENT_FAILED = "agent_failed"
    """The agent's program broke off."""
    TIMEOUT = "timeout"
    """The agent's time was over. It is rewarded for what it had done."""
    DEADLINE = "deadline"
    """The trial as a whole was over its deadline."""
    VERIFIER_FAILED = "verifier_failed"
    """There is no reward: the verifier hung, broke, or wrote none."""
    STORAGE_FAILED = "storage_failed"
    """The trials' directory could not be written."""
    HARBOR_FAILED = "harbor_failed"
    """Harbor itself broke off."""
    NO_CALL = "no_call"
    """Nothing usable was recorded."""
    NO_SAMPLED_TOKEN = "no_sampled_token"
    """No sampled token is within the window."""
    WEIGHTS_CHANGED = "weights_changed"
    """The weights changed while it ran, on a run that is synchronous."""
    TAIL_KILLED = "tail_killed"
    """It was among the slowest of its step (`harbor_runtime.tail_kill_target`)."""
    OVERLONG = "overlong"
    """The response is longer than `training.max_response_length`."""
    MAX_TURNS = "max_turns_reached"
    """The agent had all its turns. It is rewarded for what it had done."""


ALWAYS = frozenset(Drop) - {Drop.TIMEOUT, Drop.OVERLONG, Drop.MAX_TURNS}
"""Reasons after which there is no reward or no token. The others drop a trial only if settings say so."""

RETRIED = frozenset(
    {Drop.ENV_SETUP_FAILED, Drop.SANDBOX_LOST, Drop.POLICY_UNREACHABLE, Drop.AGENT_FAILED, Drop.NO_CALL}
)
"""Reasons that another attempt may not meet: they are no answer of the policy's."""

_CAUSES = {
    FailureCause.MODEL_PROVIDER_FAILED: Drop.POLICY_UNREACHABLE,
    FailureCause.VERIFIER_FAILED: Drop.VERIFIER_FAILED,
    FailureCause.HARBOR_FAILED: Drop.TASK_INVALID,
}


ALL_TURNS = (b'"subtype":"error_max_turns"', b'"terminal_reason":"max_turns"')
"""What Claude Code 2.1 writes last when `--max-turns` is over; it then exits with 1, as after a failure."""

TAIL_BYTES = 65536


def failure_of(result: TrialResult, agent_logs: Path) -> Drop | None:
    """Why Harbor says that the trial failed; None where its reward holds."""
    info = result.exception_info
    if info is None:
        return None
    if info.exception_type == "AgentTimeoutError":
        return Drop.TIMEOUT
    if info.policy.reward_valid:
        return None
    if result.agent_execution is None:
        return Drop.ENV_SETUP_FAILED
    if info.policy.cause in _CAUSES:
        return _CAUSES[info.policy.cause]
    if info.exception_type == "NonZeroAgentExitCodeError":
        return Drop.MAX_TURNS if _had_all_turns(agent_logs) else Drop.AGENT_FAILED
    return Drop.SANDBOX_LOST


def _had_all_turns(agent_logs: Path) -> bool:
    try:
        with (agent_logs / "claude-code.txt").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - TAIL_BYTES))
            end = log.read()
    except OSError:
        return False
    return any(mark in end for mark in ALL_TURNS)


def reward_of(result: TrialResult) -> float | None:
    """The verifier's reward: `reward`, or the only one that it wrote; None where there is none."""
    rewards = (result.verifier_result.rewards if result.verifier_result else None) or {}
    if "reward" in rewards:
        return float(rewards["reward"])
    return float(next(iter(rewards.values()))) if len(rewards) == 1 else None
