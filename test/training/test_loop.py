"""verl's own workers, real agents in real containers, and what verl makes of the samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from laboratory import Laboratory
from scripts import Solver
from support.backend import Call
from support.proxy import MASTER_KEY, SANDBOX_KEY
from verl import DataProto
from verl.trainer.ppo.core_algos import AdvantageEstimator
from verl.trainer.ppo.metric_utils import compute_data_metrics
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl_run import batch_of, configuration, generate, path_with, running_ray

SCAFFOLDS = ("claude-code", "opencode", "openhands-sdk")
TRIALS = 2
"""Of each of the four tasks."""


@dataclass
class Done:
    """One agent's eight trials."""

    scaffold: str
    batch: DataProto
    calls: Sequence[Call]
    """What the servers were asked meanwhile."""
    left: Sequence[str]
    """Sandboxes that were still there at the end."""

    def names(self) -> list[str]:
        return list(self.batch.non_tensor_batch["trial"])


@pytest.fixture(scope="module", params=SCAFFOLDS)
def done(request: pytest.FixtureRequest, laboratory: Laboratory) -> Done:
    scaffold: str = request.param
    laboratory.follow(Solver())
    before = [len(policy.calls) for policy in laboratory.policies]
    config = configuration(laboratory.model, laboratory.index(), workers=2, trials=TRIALS)
    variables = {**laboratory.variables(scaffold), **path_with(laboratory.sandboxes.variables)}
    with running_ray(variables):
        batch = generate(config, batch_of(config, trials=TRIALS))
    calls = [
        call
        for policy, start in zip(laboratory.policies, before, strict=True)
        for call in policy.calls[start:]
    ]
    return Done(scaffold, batch, calls, laboratory.sandboxes.left())


def test_every_trial_is_trained_on_and_leaves_no_sandbox(done: Done) -> None:
    assert list(done.batch.non_tensor_batch["drop"]) == [""] * 8
    assert len(set(done.names())) == 8
    assert done.left == []


def test_sampled_tokens_and_log_probabilities_are_the_servers(done: Done) -> None:
    for row in range(len(done.batch)):
        sequence, mask, logprobs, prompt_length = _row(done.batch, row)
        # What the servers sampled in this very context: two trials of a task have the first in common.
        sampled: dict[int, list[tuple[int, float]]] = {}
        for call in done.calls:
            begin = len(call.prompt_token_ids)
            if sequence[:begin] == call.prompt_token_ids:
                for offset, pair in enumerate(zip(call.token_ids, call.logprobs, strict=True)):
                    if sequence[begin : begin + offset] != call.token_ids[:offset]:
                        break
                    sampled.setdefault(begin + offset, []).append(pair)
        trained = [prompt_length + at for at, one in enumerate(mask) if one]
        assert trained
        for at in trained:
            own = pytest.approx(logprobs[at - prompt_length], rel=1e-6)
            assert any(token == sequence[at] and logprob == own for token, logprob in sampled[at])


def test_masks_partition_the_sequence(done: Done) -> None:
    batch = done.batch.batch
    width = batch["prompts"].shape[1]
    mask, there = batch["response_mask"], batch["attention_mask"][:, width:]
    assert set(mask.unique().tolist()) == {0, 1}
    assert not mask[there == 0].any()
    assert not batch["rollout_log_probs"][mask == 0].any()
    assert (batch["rollout_log_probs"][mask == 1] < 0).all()
    # Tool results are context.
    assert ((mask == 0) & (there == 1)).any(dim=1).all()


def test_what_the_agent_saw_is_what_the_tokens_say(done: Done, laboratory: Laboratory) -> None:
    for row, name in enumerate(done.names()):
        sequence, mask, _, prompt_length = _row(done.batch, row)
        trained = [sequence[prompt_length + at] for at, one in enumerate(mask) if one]
        text = laboratory.tokenizer.decode(trained)
        assert text.endswith("The bug is mended.<|im_end|>")
        seen = _log_of(laboratory.trials / name / "agent")
        assert "The bug is mended." in seen
        assert "Now I try it." in seen


def test_the_reward_is_the_verifiers(done: Done, laboratory: Laboratory) -> None:
    rewards = done.batch.batch["rm_scores"].sum(-1).tolist()
    written = [
        float((laboratory.trials / name / "verifier/reward.txt").read_text())
        for name in done.names()
    ]
    assert rewards == written
    # The policy mends some and spoils some.
    assert set(rewards) == {0.0, 1.0}


def test_side_calls_stay_beside_the_thread(done: Done, laboratory: Laboratory) -> None:
    notes = [
        json.loads((laboratory.trials / name / "sample.json").read_text()) for name in done.names()
    ]
    assert all(len(note["thread"]) == 4 for note in notes)
    # OpenCode asks for a title; the others, told not to, ask for nothing else.
    beside = 1 if done.scaffold == "opencode" else 0
    assert [len(note["beside"]) for note in notes] == [beside] * 8
    assert all(note["calls"] == 4 + beside and note["unusable_calls"] == 0 for note in notes)


def test_verl_computes_advantages(done: Done) -> None:
    batch = DataProto(batch=done.batch.batch.clone(), non_tensor_batch=dict(done.batch.non_tensor_batch))
    batch.batch["token_level_scores"] = batch.batch["rm_scores"]
    batch.batch["token_level_rewards"] = batch.batch["rm_scores"]
    groups = np.array([str(about["index"]) for about in batch.non_tensor_batch["extra_info"]])
    batch.non_tensor_batch["uid"] = groups.astype(object)
    batch = compute_advantage(batch, adv_estimator=AdvantageEstimator.GRPO, num_repeat=TRIALS)
    advantages, mask = batch.batch["advantages"], batch.batch["response_mask"]
    assert torch.isfinite(advantages).all()
    assert not advantages[mask == 0].any()
    for group in set(groups):
        members = [row for row, one in enumerate(groups) if one == group]
        firsts = [advantages[row][mask[row] == 1][0].item() for row in members]
        assert sum(firsts) == pytest.approx(0, abs=1e-4)
    metrics = compute_data_metrics(batch, use_critic=False)
    assert metrics["num_turns/mean"] == 8


def test_no_key_is_left_in_a_file(done: Done, laboratory: Laboratory) -> None:
    del done
    for file in laboratory.trials.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert SANDBOX_KEY.encode() not in content, file
            assert MASTER_KEY.encode() not in content, file


def _row(batch: DataProto, row: int) -> tuple[list[int], list[int], list[float], int]:
    """The sequence without padding, mask and log-probabilities of its response, length of its prompt."""
    width = batch.batch["prompts"].shape[1]
    there = batch.batch["attention_mask"][row].bool()
    sequence = batch.batch["input_ids"][row][there].tolist()
    prompt_length = int(there[:width].sum())
    length = int(there[width:].sum())
    mask = batch.batch["response_mask"][row][:length].tolist()
    logprobs = batch.batch["rollout_log_probs"][row][:length].tolist()
    return sequence, mask, logprobs, prompt_length


def _log_of(folder: Path) -> str:
    return "\n".join(file.read_text(errors="replace") for file in folder.glob("*.txt"))
