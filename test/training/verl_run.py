"""verl's own manager and workers of agent loops under a real Ray, without a rollout server of verl's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import swe_rl_training
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch.utils.data import DataLoader
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopManager
from verl.trainer.ppo.utils import create_rl_dataset
from verl.utils.dataset.rl_dataset import collate_fn

LOOP = Path(swe_rl_training.__file__).parent / "agent_loop.yaml"

PROMPT, RESPONSE = 65536, 16384


def configuration(model: Path, index: Path, *, workers: int, trials: int) -> DictConfig:
    """As the Plan sets it, where it matters to an agent loop."""
    import verl

    folder = Path(verl.__file__).parent / "trainer/config"
    overrides = {
        "data.train_files": index,
        "data.val_files": index,
        "data.prompt_key": "prompt",
        "data.return_raw_chat": "true",
        "data.max_prompt_length": PROMPT,
        "data.max_response_length": RESPONSE,
        "actor_rollout_ref.model.path": model,
        "actor_rollout_ref.rollout.name": "vllm",
        "actor_rollout_ref.rollout.mode": "async",
        "actor_rollout_ref.rollout.n": trials,
        "actor_rollout_ref.rollout.calculate_log_probs": "true",
        "actor_rollout_ref.rollout.agent.num_workers": workers,
        "actor_rollout_ref.rollout.agent.default_agent_loop": "harbor",
        "actor_rollout_ref.rollout.agent.agent_loop_config_path": LOOP,
    }
    with initialize_config_dir(config_dir=str(folder), version_base=None):
        return compose("ppo_trainer", [f"{key}={value}" for key, value in overrides.items()])


@contextmanager
def running_ray(variables: Mapping[str, str], *, address: str = "127.0.0.1") -> Iterator[None]:
    """A Ray of its own at that address, whose workers have these variables and find these tests."""
    folder = tempfile.mkdtemp(prefix="swe-rl-ray-")
    here = Path(__file__).parent
    source = ":".join(str(one) for one in (Path(swe_rl_training.__file__).parents[1], here, here.parent / "runtime"))
    try:
        ray.init(
            address="local",
            _node_ip_address=address,
            num_cpus=8,
            include_dashboard=False,
            log_to_driver=True,
            object_store_memory=500 * 2**20,
            _temp_dir=folder,
            runtime_env={"env_vars": {**variables, "PYTHONPATH": source}},
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def batch_of(config: DictConfig, *, trials: int, validate: bool = False) -> DataProto:
    """All rows of the index, as verl's trainer hands them to the manager."""
    tokenizer = AutoTokenizer.from_pretrained(config.actor_rollout_ref.model.path)
    dataset = create_rl_dataset(config.data.train_files, config.data, tokenizer, None)
    rows = next(iter(DataLoader(dataset, batch_size=len(dataset), collate_fn=collate_fn)))
    batch = DataProto.from_single_dict(rows)
    batch.meta_info = {"validate": validate, "global_steps": 1}
    return batch.repeat(trials, interleave=True)


def generate(config: DictConfig, batch: DataProto, client: Any = None) -> DataProto:
    """`client`: verl's way to its rollout servers."""
    manager: Any = AgentLoopManager.create(config=config, llm_client=client)
    try:
        output: DataProto = manager.generate_sequences(batch)
        return output
    finally:
        for worker in manager.agent_loop_workers:
            ray.kill(worker)


def path_with(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for a worker, which has no other search path."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root"), **variables}
