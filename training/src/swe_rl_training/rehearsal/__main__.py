"""Rehearses a run.

    python3 -m swe_rl_training.rehearsal verl.trainer.main_ppo OVERRIDE...

The entry point of verl's says with which of its configurations the overrides are composed.
"""

from __future__ import annotations

import asyncio
import sys

import ray
from omegaconf import OmegaConf

from ..check_image import Command
from .trainer import Rehearsal


def main(arguments: list[str]) -> int:
    try:
        command = Command.of(["python3", "-m", *arguments])
    except ValueError as error:
        print(f"rehearsal: {error}", file=sys.stderr)
        return 2
    configuration = command.configuration()
    settings = OmegaConf.to_container(configuration.ray_kwargs.ray_init, resolve=True)
    ray.init(**settings)
    asyncio.run(Rehearsal(configuration).run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
