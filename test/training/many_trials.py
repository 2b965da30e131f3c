"""A worker of the trainer: runs trials of one task until it is killed. `python many_trials.py COUNT TASK`."""

import asyncio
import sys
from pathlib import Path

from swe_rl_training.settings import Settings
from swe_rl_training.trials import Trials
from trial_run import WANTED, recorded


async def main(count: int, task: Path) -> None:
    settings = Settings.from_environment()
    trials = Trials(settings)
    await asyncio.gather(
        *(trials.sample(task, recorded(settings), WANTED) for _ in range(count))
    )


asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
