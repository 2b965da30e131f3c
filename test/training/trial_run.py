"""Trials without verl, in proxy mode `litellm`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from swe_rl_training.policy import Recorded
from swe_rl_training.settings import LiteLlm, Settings
from swe_rl_training.trials import Sample, Trials, Wanted

WANTED = Wanted(
    prompt_length=65536, response_length=16384, is_validation=False, is_synchronous=True
)


def recorded(settings: Settings) -> Recorded:
    assert isinstance(settings.proxy, LiteLlm)
    return Recorded(settings.proxy)


async def one_trial(task: Path, variables: Mapping[str, str]) -> Sample:
    settings = Settings.from_environment(variables)
    return await Trials(settings).sample(task, recorded(settings), WANTED)
