"""A worker of the trainer: runs trials of one task until it is killed. `python many_trials.py COUNT TASK`."""

import asyncio
import sys
from pathlib import Path

from swe_rl_training.settings import Settings
from swe_rl_training.trials import Lengths, Trials


async def main(count: int, task: Path) -> None:
    trials = Trials(Settings.from_environment())
    lengths = Lengths(65536, 16384)
    await asyncio.gather(
        *(trials.sample(task, lengths, is_validation=False) for _ in range(count))
    )


asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
