"""The trainer of a rehearsal: it counts steps, and its checkpoints have no weights.

Steps, lines and files are those of verl's trainers (verl/trainer/ppo/ray_trainer.py, verl 0.9.1), as far as a
rehearsal has them; it validates nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import ray
import torch
from omegaconf import DictConfig
from ray.util.placement_group import PlacementGroup, placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopManager
from verl.experimental.fully_async_policy.detach_utils import prepare_single_generation_data
from verl.trainer.ppo.utils import create_rl_dataset
from verl.utils.dataset.rl_dataset import collate_fn
from verl.utils.logger import LocalLogger
from verl.workers.rollout.llm_server import FullyAsyncLLMServerClient, LLMServerClient
from verl.workers.rollout.router import GlobalRequestLoadBalancer

from .server import RehearsalServer, Wishes

TRACKER = "latest_checkpointed_iteration.txt"
NOTE = "rehearsal.json"

TRAINING_SECONDS = 2.0
"""Between a step's trials and its new weights, at least."""

LONGEST_TRAINING_SECONDS = 60.0
"""At most, where training is asynchronous."""


class Rehearsal:
    def __init__(self, config: DictConfig) -> None:
        """`config`: as verl's entry point composes it."""
        self._config = config
        self._is_synchronous = "async_training" not in config
        self._folder = Path(config.trainer.default_local_dir)
        self._logger = LocalLogger()
        self._servers: list[Any] = []

    async def run(self) -> None:
        """All steps that are left. Raises ValueError where the cluster has too few GPUs."""
        print("rehearsal: no gradient is computed, and checkpoints have no weights", flush=True)
        pools = self._pools()
        demand_gpus(sum(nodes * gpus for nodes, gpus in pools))
        groups = await asyncio.gather(*(_placed(nodes, gpus) for nodes, gpus in pools))
        # The last: rollout servers have GPUs of their own where training is asynchronous.
        client = await self._serve(groups[-1])
        batches = self._batches()
        done = self._resume(batches)
        manager: Any = await AgentLoopManager.create(config=self._config, llm_client=client)
        total = self._steps(batches)
        rows = _endless(batches)
        trials = None
        for step in range(done + 1, total + 1):
            begin = time.monotonic()
            running = trials or self._trials(manager, next(rows), step)
            output = await running
            # Where training is asynchronous, the next trials run while the weights change.
            ahead = not self._is_synchronous and step < total
            trials = self._trials(manager, next(rows), step + 1) if ahead else None
            sampled = time.monotonic()
            await asyncio.sleep(TRAINING_SECONDS)
            if trials is not None:
                await self._generating()
            await asyncio.gather(*(server.set_weights.remote(step) for server in self._servers))
            if self._is_saved(step, total):
                self._save(step, batches)
            metrics = _metrics(output)
            metrics["timing_s/gen"] = sampled - begin
            metrics["timing_s/step"] = time.monotonic() - begin
            self._logger.log(metrics, step)

    def _pools(self) -> list[tuple[int, int]]:
        """Nodes and GPUs of a node, of the trainer and, where it has its own, of the rollout."""
        trainer = self._config.trainer
        pools = [(int(trainer.nnodes), int(trainer.n_gpus_per_node))]
        if not self._is_synchronous:
            rollout = self._config.rollout
            pools.append((int(rollout.nnodes), int(rollout.n_gpus_per_node)))
        return pools

    async def _serve(self, group: PlacementGroup) -> LLMServerClient:
        """Starts the rollout servers, under verl's names of them."""
        rollout = self._config.actor_rollout_ref.rollout
        nodes, gpus = self._pools()[-1]
        size = rollout.tensor_model_parallel_size * rollout.data_parallel_size
        count = nodes * gpus // (size * rollout.pipeline_model_parallel_size)
        engine = rollout.engine_kwargs.vllm
        wishes = Wishes(
            model=str(self._config.actor_rollout_ref.model.path),
            served=str(engine["served-model-name"]),
            parser=os.environ["SWE_RL_TOOL_PARSER"],
            window=int(rollout.max_model_len or rollout.prompt_length + rollout.response_length),
            tasks=tuple(str(task) for task in tasks_of(self._config.data.train_files)),
        )
        kind: Any = ray.remote(RehearsalServer)
        for number in range(count):
            place = PlacementGroupSchedulingStrategy(group, number * nodes // count)
            self._servers.append(
                kind.options(
                    name=f"vllm_server_{number}_0",
                    num_cpus=0,
                    scheduling_strategy=place,
                    max_concurrency=1000,
                ).remote(wishes, number)
            )
        await asyncio.gather(*(server.start.remote() for server in self._servers))
        known = {f"vllm_server_{number}_0": one for number, one in enumerate(self._servers)}
        balancer: Any = ray.remote(GlobalRequestLoadBalancer)
        handle = balancer.options(num_cpus=0).remote(known)
        form = LLMServerClient if self._is_synchronous else FullyAsyncLLMServerClient
        return form(self._config, load_balancer_handle=handle)

    def _batches(self) -> StatefulDataLoader:
        data = self._config.data
        tokenizer = AutoTokenizer.from_pretrained(self._config.actor_rollout_ref.model.path)
        rows = create_rl_dataset(data.train_files, data, tokenizer, None)
        # An index may be smaller than a batch.
        return StatefulDataLoader(rows, batch_size=self._prompts(), collate_fn=collate_fn)

    def _prompts(self) -> int:
        """Of one step."""
        if self._is_synchronous:
            return int(self._config.data.train_batch_size)
        mini = int(self._config.actor_rollout_ref.actor.ppo_mini_batch_size)
        return mini * int(self._config.async_training.require_batches)

    def _steps(self, batches: StatefulDataLoader) -> int:
        """Of the whole run. Asynchronous training counts prompts (fully_async_rollouter.py, verl 0.9.1)."""
        trainer = self._config.trainer
        if self._is_synchronous:
            return int(trainer.total_training_steps or len(batches) * trainer.total_epochs)
        rows = len(batches.dataset) * trainer.total_epochs
        return int(min(rows, self._config.rollout.total_rollout_steps or rows)) // self._prompts()

    def _trials(self, manager: Any, rows: dict[str, Any], step: int) -> asyncio.Task[DataProto]:
        repeats = int(self._config.actor_rollout_ref.rollout.n)
        if self._is_synchronous:
            batch = DataProto.from_single_dict(rows)
            batch.meta_info = {"validate": False, "global_steps": step}
            batch = batch.repeat(repeats, interleave=True)
        else:
            batch = prepare_single_generation_data(rows, self._config)
        identities = [str(uuid.uuid4()) for _ in range(len(batch) // repeats)]
        batch.non_tensor_batch["uid"] = np.repeat(np.array(identities, dtype=object), repeats)

        async def generate() -> DataProto:
            # verl's method looks at its caller, and blocks one that is no coroutine.
            output: DataProto = await manager.generate_sequences(batch)
            return output

        return asyncio.create_task(generate())

    async def _generating(self) -> None:
        """Waits until the new weights will cut an answer, as they mostly do in a run, whose answers are longer."""
        until = time.monotonic() + LONGEST_TRAINING_SECONDS
        while time.monotonic() < until:
            counts = await asyncio.gather(*(one.generating.remote() for one in self._servers))
            if any(counts):
                return
            await asyncio.sleep(0.05)

    def _is_saved(self, step: int, total: int) -> bool:
        every = int(self._config.trainer.save_freq)
        return every > 0 and (step % every == 0 or step == total)

    def _save(self, step: int, batches: StatefulDataLoader) -> None:
        """A checkpoint in verl's layout, with a note in place of weights."""
        folder = self._folder / f"global_step_{step}"
        (folder / "actor").mkdir(parents=True, exist_ok=True)
        about = {"step": step, "weights": "none: this is the checkpoint of a rehearsal"}
        (folder / "actor" / NOTE).write_text(json.dumps(about))
        torch.save(batches.state_dict(), folder / "data.pt")
        draft = self._folder / f".{TRACKER}"
        draft.write_text(str(step))
        os.replace(draft, self._folder / TRACKER)
        print(f"rehearsal: saved {folder}", flush=True)
        kept = self._config.trainer.max_actor_ckpt_to_keep
        steps = sorted(_saved(self._folder))
        for old in steps[: -int(kept)] if kept else []:
            shutil.rmtree(self._folder / f"global_step_{old}")

    def _resume(self, batches: StatefulDataLoader) -> int:
        """Goes on from the newest checkpoint. Returns the steps that are done."""
        if self._config.trainer.resume_mode == "disable":
            return 0
        try:
            step = int((self._folder / TRACKER).read_text())
        except FileNotFoundError:
            return 0
        folder = self._folder / f"global_step_{step}"
        if not (folder / "actor" / NOTE).exists():
            raise ValueError(f"{folder} is no checkpoint of a rehearsal")
        batches.load_state_dict(torch.load(folder / "data.pt", weights_only=False))
        print(f"rehearsal: resumes from {folder}", flush=True)
        return step


def demand_gpus(wanted: int) -> None:
    """As verl's trainer does once, without waiting (verl/trainer/ppo/ray_trainer.py). Raises ValueError."""
    there = int(ray.cluster_resources().get("GPU", 0))
    if there < wanted:
        raise ValueError(f"Total available GPUs {there} is less than total desired GPUs {wanted}")


def tasks_of(files: Any) -> list[Path]:
    """Folders of the tasks in the indexes."""
    folders: set[Path] = set()
    for file in [files] if isinstance(files, str) else list(files):
        for about in pyarrow.parquet.read_table(file, columns=["extra_info"])["extra_info"].to_pylist():
            folders.add((Path(file).parent / about["task"]).resolve())
    return sorted(folders)


async def _placed(nodes: int, gpus: int) -> PlacementGroup:
    """GPUs on so many nodes, reserved."""
    group = placement_group([{"GPU": gpus, "CPU": 1}] * nodes, strategy="STRICT_SPREAD")
    await group.ready()
    return group


def _endless(batches: StatefulDataLoader) -> Iterator[dict[str, Any]]:
    while True:
        yield from batches


def _saved(folder: Path) -> Iterator[int]:
    for one in folder.glob("global_step_*"):
        number = one.name.removeprefix("global_step_")
        if number.isdigit():
            yield int(number)


def _metrics(output: DataProto) -> dict[str, float]:
    """Some of what verl's trainers log of a batch, by the same names."""
    scores = output.batch["rm_scores"].sum(-1)
    lengths = output.batch["response_mask"].sum(-1).float()
    drops = [drop for drop in output.non_tensor_batch["drop"] if drop]
    metrics = {
        "critic/score/mean": float(scores.mean()),
        "critic/score/max": float(scores.max()),
        "response_length/mean": float(lengths.mean()),
        "rehearsal/trials": float(len(scores)),
        "rehearsal/dropped": float(len(drops)),
    }
    if "max_global_steps" in output.non_tensor_batch:
        newest = output.non_tensor_batch["max_global_steps"]
        oldest = output.non_tensor_batch["min_global_steps"]
        cut = [a != b for a, b in zip(oldest, newest, strict=True)]
        metrics["fully_async/partial/total_partial_num"] = float(sum(cut))
    return metrics
