"""Giving up the slowest trials of a step, counted over several workers under a real Ray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from swe_rl_training.settings import TailKill
from swe_rl_training.tail import StepCount, Tail
from verl_run import path_with, running_ray


@pytest.fixture(scope="module")
def cluster(private_network: None) -> Iterator[None]:
    with running_ray(path_with({})):
        yield


async def step(tails: list[Tail], seconds: list[float]) -> tuple[list[str], int]:
    """A trial that takes so long for each number, in turn by each worker; and how many were cancelled."""
    cancelled = 0

    async def trial(duration: float) -> str:
        nonlocal cancelled
        try:
            await asyncio.sleep(duration)
        except asyncio.CancelledError:
            # As Harbor ends the sandbox before it goes.
            await asyncio.sleep(0.1)
            cancelled += 1
            raise
        return "ended"

    results = await asyncio.gather(
        *(
            tails[number % len(tails)].or_given_up(
                lambda duration=duration: trial(duration), lambda: "given up"
            )
            for number, duration in enumerate(seconds)
        )
    )
    return list(results), cancelled


def test_the_slowest_of_a_step_are_given_up_whichever_worker_has_them(cluster: None) -> None:
    async def test() -> None:
        kill = TailKill(target=0.75, grace_seconds=0.5, least_trials=8)
        tails = [Tail(kill), Tail(kill)]
        begun = time.monotonic()
        fast, slow = [0.2] * 6, [60.0] * 2
        assert await step(tails, [*fast, *slow]) == (["ended"] * 6 + ["given up"] * 2, 2)
        assert time.monotonic() - begun < 30
        # The next step counts anew, and one in which all are in time loses none.
        assert await step(tails, [0.2] * 6 + [0.6] * 2) == (["ended"] * 8, 0)
        # A small step is left alone.
        assert await step(tails, [0.1] * 6 + [2.0]) == (["ended"] * 7, 0)

    asyncio.run(test())


def test_a_failed_trial_has_ended_too(cluster: None) -> None:
    async def fail() -> str:
        raise RuntimeError("broke")

    async def test() -> None:
        tail = Tail(TailKill(target=0.75, grace_seconds=0.5, least_trials=8))
        with pytest.raises(RuntimeError, match="broke"):
            await tail.or_given_up(fail, lambda: "given up")
        assert await step([tail], [0.1] * 7 + [60.0]) == (["ended"] * 7 + ["given up"], 1)

    asyncio.run(test())


def test_below_the_target_all_are_waited_for() -> None:
    async def test() -> None:
        count = StepCount(TailKill(target=0.9, grace_seconds=0, least_trials=2))
        for _ in range(10):
            await count.begin()
        for _ in range(8):
            await count.end()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(count.given_up(), 0.2)
        await count.end()
        await asyncio.wait_for(count.given_up(), 5)

    asyncio.run(test())
