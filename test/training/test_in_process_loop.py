"""Proxy mode `in_process` with real agents in real containers, and verl's own client of an asynchronous run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import ray
from laboratory import Laboratory
from omegaconf import DictConfig, open_dict
from rollout_actor import RolloutActor
from sandboxes import GATEWAY
from swe_rl_training.in_process.session import FILE_NAME
from verl import DataProto
from verl.experimental.fully_async_policy.detach_utils import (
    RolloutSample,
    assemble_batch_from_rollout_samples,
    prepare_single_generation_data,
)
from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient
from verl.workers.rollout.router import GlobalRequestLoadBalancer
from verl_run import batch_of, configuration, generate, path_with, running_ray

SCAFFOLDS = ("claude-code", "opencode")
"""By the Anthropic API, and by OpenAI's with streams; OpenHands SDK asks as `test_in_process.py` does."""

PORTS = "8100-8100"


@dataclass
class Done:
    """One agent's trials, one of each task."""

    scaffold: str
    config: DictConfig
    batch: DataProto
    asked: list[dict[str, Any]]
    """What the rollout servers were asked, and what they sampled, cut answers by their parts."""
    left: list[str]


@pytest.fixture(scope="module", params=SCAFFOLDS)
def done(request: pytest.FixtureRequest, laboratory: Laboratory) -> Done:
    scaffold: str = request.param
    config = asynchronous(configuration(laboratory.model, laboratory.index(), workers=1, trials=1))
    variables = laboratory.variables(
        scaffold, SWE_RL_POLICY_PORTS=PORTS, SWE_RL_TOOL_PARSER="hermes", NUM_WORKERS="1"
    )
    with running_ray({**variables, **path_with(laboratory.sandboxes.variables)}, address=GATEWAY):
        server = ray.remote(RolloutActor).options(num_cpus=0).remote(laboratory.model, 3, 1)
        servers = {"server": server}
        balancer = ray.remote(GlobalRequestLoadBalancer).options(num_cpus=0).remote(servers)
        client = FullyAsyncLLMServerClient(config, load_balancer_handle=balancer)
        # As the asynchronous trainer prepares one prompt.
        rows = batch_of(config, trials=1)
        rows = prepare_single_generation_data({**rows.batch, **rows.non_tensor_batch}, config)
        batch = generate(config, rows, client)
        asked: list[dict[str, Any]] = ray.get(server.asked.remote())
    return Done(scaffold, config, batch, asked, list(laboratory.sandboxes.left()))


def asynchronous(config: DictConfig) -> DictConfig:
    """As verl's fully asynchronous trainer is configured, where it matters to a loop."""
    with open_dict(config):
        config.async_training = {"partial_rollout": True}
        config.actor_rollout_ref.rollout.multi_turn.enable = True
    return config


def test_every_trial_is_trained_on_and_leaves_no_sandbox(done: Done) -> None:
    assert list(done.batch.non_tensor_batch["drop"]) == [""] * 4
    assert done.left == []


def test_every_sampled_token_is_trained_as_it_was_sampled(done: Done, laboratory: Laboratory) -> None:
    for row, name in enumerate(done.batch.non_tensor_batch["trial"]):
        note = json.loads((laboratory.trials / name / "sample.json").read_text())
        sequence, mask, logprobs, width = _row(done.batch, row)
        trained = [width + at for at, one in enumerate(mask) if one]
        sampled: dict[int, tuple[int, float]] = {}
        for call in done.asked:
            begin = len(call["prompt"])
            if sequence[:begin] != call["prompt"]:
                continue
            for at, pair in enumerate(zip(call["ids"], call["logprobs"], strict=True), begin):
                if (*sequence[at : at + 1],) != pair[:1]:
                    break
                sampled[at] = pair
        assert trained
        for at in trained:
            token, logprob = sampled[at]
            assert token == sequence[at]
            assert logprobs[at - width] == pytest.approx(logprob, rel=1e-6)
        assert len(trained) == len(sampled)
        # Claude Code strikes `cd` from the commands in its history.
        rewrites = done.scaffold == "claude-code"
        assert (note["rewritten"] > 0) == rewrites
        assert note["unusable_calls"] == 0


def test_a_generation_that_a_weight_sync_cut_is_resumed_unseen(
    done: Done, laboratory: Laboratory
) -> None:
    # Beside the agents' calls each trial asks for the version of the weights, with one token.
    parts = [call for call in done.asked if len(call["prompt"]) > 1]
    said = [
        json.loads(line)
        for name in done.batch.non_tensor_batch["trial"]
        for line in (laboratory.trials / name / FILE_NAME).read_text().splitlines()
    ]
    # A cut answer is asked for in parts, and the agent gets it whole.
    assert len(parts) > len(said) >= 16
    assert sum(len(part["ids"]) for part in parts) == sum(
        len(one["response_body"]["choices"][0]["token_ids"]) for one in said
    )
    assert all(one["outcome"] == "complete" for one in said)
    oldest = list(done.batch.non_tensor_batch["min_global_steps"])
    newest = list(done.batch.non_tensor_batch["max_global_steps"])
    assert any(a < b for a, b in zip(oldest, newest, strict=True))


def test_the_asynchronous_trainer_takes_the_samples(done: Done) -> None:
    rows = [done.batch[at : at + 1] for at in range(len(done.batch))]
    samples = []
    for number, row in enumerate(rows):
        row.meta_info = {"metrics": [done.batch.meta_info["timing"] and _metrics()]}
        samples.append(
            RolloutSample(full_batch=row, sample_id=str(number), epoch=0, rollout_status={})
        )
    final = assemble_batch_from_rollout_samples(samples, None, done.config)
    assert final.meta_info["fully_async/partial/partial_ratio"] > 0
    assert len(final) == 4


def test_the_reward_is_the_verifiers(done: Done, laboratory: Laboratory) -> None:
    written = [
        float((laboratory.trials / name / "verifier/reward.txt").read_text())
        for name in done.batch.non_tensor_batch["trial"]
    ]
    assert done.batch.batch["rm_scores"].sum(-1).tolist() == written


def _metrics() -> dict[str, float]:
    return {"generate_sequences": 1.0, "tool_calls": 1.0}


def _row(batch: DataProto, row: int) -> tuple[list[int], list[int], list[float], int]:
    """Sequence, mask and log-probabilities of the response, and the prompt's length, without padding."""
    width = batch.batch["prompts"].shape[1]
    there = batch.batch["attention_mask"][row].bool()
    prompt = batch.batch["prompts"][row][there[:width]].tolist()
    response = batch.batch["responses"][row][there[width:]].tolist()
    mask = batch.batch["response_mask"][row][there[width:]].tolist()
    logprobs = batch.batch["rollout_log_probs"][row][there[width:]].tolist()
    return [*prompt, *response], mask, logprobs, len(prompt)
