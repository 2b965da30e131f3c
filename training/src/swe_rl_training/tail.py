"""Giving up the slowest trials of a step, once most have ended.

A step's trials run in many workers, so one actor counts them for all. A step begins with the first
trial when none is running, as on a synchronous run, where verl starts all trials of a step at once
and waits for the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ray

from .settings import TailKill

NAME = "swe-rl-tail"


class StepCount:
    """Trials of the step that is running."""

    def __init__(self, tail: TailKill) -> None:
        self._tail = tail
        self._begun = self._ended = 0
        self._grace: asyncio.Task[None] | None = None
        self._given_up = asyncio.Event()

    async def begin(self) -> None:
        if self._begun == self._ended:
            self._begun = self._ended = 0
            self._given_up = asyncio.Event()
        self._begun += 1

    async def end(self) -> None:
        self._ended += 1
        enough = self._ended >= self._tail.target * self._begun
        if self._ended == self._begun:
            if self._grace is not None:
                self._grace.cancel()
            self._grace = None
        elif enough and self._begun >= self._tail.least_trials and self._grace is None:
            self._grace = asyncio.create_task(self._give_up())

    async def given_up(self) -> None:
        """Returns when the rest of the step that is running now is given up."""
        await self._given_up.wait()

    async def _give_up(self) -> None:
        await asyncio.sleep(self._tail.grace_seconds)
        self._given_up.set()


class Tail:
    """The count as one worker sees it."""

    def __init__(self, tail: TailKill) -> None:
        self._count: Any = (
            ray.remote(StepCount)
            # Each trial that runs waits in it.
            .options(name=NAME, get_if_exists=True, num_cpus=0, max_concurrency=100_000)
            .remote(tail)
        )

    async def or_given_up[Result](
        self, work: Callable[[], Awaitable[Result]], otherwise: Callable[[], Result]
    ) -> Result:
        """What the work makes, or `otherwise` when it is among the last; it is cancelled then."""
        await self._count.begin.remote()
        working = asyncio.ensure_future(work())
        waiting = asyncio.ensure_future(self._count.given_up.remote())
        try:
            await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            return otherwise()
        finally:
            working.cancel()
            waiting.cancel()
            # Awaited, or it could be counted into the next step.
            await asyncio.shield(asyncio.wrap_future(self._count.end.remote().future()))
