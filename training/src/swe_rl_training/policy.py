"""How the calls of a trial reach the policy, and what is known of them afterwards: the two proxy modes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .in_process import PolicyServer, Sampler, Session
from .recording import FILE_NAME, Recording, read
from .settings import LiteLlm
from .trial_key import trial_key

SETTLING_SECONDS = 0.5
"""How long a recording must have kept its size: the recorder writes a line just after its call."""

LONGEST_SETTLING_SECONDS = 10.0


@dataclass
class Access:
    """A trial's way to the policy."""

    url: str
    key: str
    """For this trial alone."""
    recording: Recording = field(default_factory=lambda: Recording([]))
    """Whole once the way is closed."""


class Policy(Protocol):
    def serve(self, directory: Path) -> AbstractAsyncContextManager[Access]:
        """Opens the policy to the trial of that directory, and afterwards reads what it has said."""


@dataclass(frozen=True)
class Recorded:
    """Proxy mode `litellm`: the recorder in front of the servers writes every call to the trial's directory."""

    proxy: LiteLlm

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Access]:
        access = Access(self.proxy.url, trial_key(self.proxy.key, directory.name))
        yield access
        access.recording = await _settled(directory / FILE_NAME)


@dataclass(frozen=True)
class InProcess:
    """Proxy mode `in_process`: this very worker serves the trial, and remembers its calls."""

    server: PolicyServer
    sampler: Sampler

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[Access]:
        await self.server.start()
        session = Session(directory.name, directory, self.sampler)
        access = Access(self.server.url, self.server.open(session))
        try:
            yield access
        finally:
            await self.server.close(access.key)
        session.recording.calls.sort(key=lambda call: call.started)
        access.recording = session.recording


async def _settled(file: Path) -> Recording:
    """The recording once its file does not grow any more."""
    deadline = time.monotonic() + LONGEST_SETTLING_SECONDS
    size = -1
    while (now := await asyncio.to_thread(_size, file)) != size and time.monotonic() < deadline:
        size = now
        await asyncio.sleep(SETTLING_SECONDS)
    return await asyncio.to_thread(read, file)


def _size(file: Path) -> int:
    try:
        # Network file systems promise a fresh size only to who opens the file.
        with file.open("rb") as content:
            return content.seek(0, 2)
    except FileNotFoundError:
        return 0
