"""Where each rollout server is, and whether it answers: the recorder's routes.

Number i of the table always is verl's server i. A server that comes back under another address is
found by listing again, which leaves the routes of the others as they are. Health is asked of
vLLM's `/health`, which sends no completion:

    nobody listens                 down at once
    no answer, or not 200          down after FAILURES_UNTIL_DOWN in a row: a busy server is slow
    200                            up

A call to a server that is down is refused at once. LiteLLM repeats it for the same server, which its
session has, and the repetition goes to another. Calls that a server has accepted and then left
without a byte since it fell silent are ended; streams that still come are not.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import aiohttp
from discover_rollouts import Discovery, Server
from pod import BadInput, Progress, say

PROBE_SECONDS = 5.0
PROBE_SECONDS_IN_DOUBT = 1.0
PROBE_TIMEOUT_SECONDS = 10.0
FAILURES_UNTIL_DOWN = 3

LOOK_SECONDS = 60.0
LOOK_SECONDS_WHILE_DOWN = 10.0
"""How often the servers are listed. Each listing starts a process on Ray's head."""

CONNECT_SECONDS = 5.0


class Call:
    """A running call to a server; ended by `end`, with the reason."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self.heard = time.monotonic()
        """When the server last sent something, or the call began."""
        self.why_ended: str | None = None

    def end(self, why: str) -> None:
        self.why_ended = why
        self._task.cancel()


class Route:
    """One rollout server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.why_down: str | None = None
        self.calls: set[Call] = set()
        self._failures = 0
        self._silent_since = 0.0
        self.wake = asyncio.Event()
        """Set to have the server's health asked now."""

    def move_to(self, server: Server) -> None:
        """Takes another address. Ray has one actor of the name, so the old server is gone."""
        if server == self.server:
            return
        say(f"{server.name} moved from {self.server.authority} to {server.authority}")
        self.server = server
        self.why_down = "it was just found under another address"
        self._failures = 0
        for call in list(self.calls):
            call.end(f"{server.name} is gone from where it was")
        self.wake.set()

    @property
    def is_in_doubt(self) -> bool:
        return self.why_down is not None or self._failures > 0

    def is_well(self) -> None:
        if self.why_down:
            say(f"{self.server.name} answers at {self.server.authority}")
        self.why_down, self._failures = None, 0

    def is_dead(self, why: str) -> None:
        """Nobody listens there."""
        if not self.why_down:
            say(f"{self.server.name} at {self.server.authority} is down: {why}")
        self.why_down = why
        self.wake.set()

    def is_silent(self, asked: float, why: str) -> None:
        """It was asked for its health at that time, and gave no good answer."""
        self._failures += 1
        if self._failures == 1:
            self._silent_since = asked
        if self._failures < FAILURES_UNTIL_DOWN:
            return
        if not self.why_down:
            say(f"{self.server.name} at {self.server.authority} is down: {why}")
        self.why_down = why
        for call in list(self.calls):
            if call.heard < self._silent_since:
                call.end(f"{self.server.name} hangs: {why}")


class Routes:
    """All rollout servers of the run."""

    def __init__(self, servers: list[Server], discovery: Discovery) -> None:
        self._routes = {server.index: Route(server) for server in servers}
        if sorted(self._routes) != list(range(discovery.expected)):
            raise BadInput(
                f"the table has the servers {sorted(self._routes)}, "
                f"where {discovery.expected} were promised"
            )
        self._discovery = discovery
        self._tasks: list[asyncio.Task[None]] = []
        self._look_now = asyncio.Event()
        # Not the loop's own thread pool, whose end waits for a look.
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._progress = Progress()

    def get(self, index: int) -> Route | None:
        return self._routes.get(index)

    def instead(self, caller: str) -> Route | None:
        """A server that is up; None if none is.

        For one caller the same for as long as that is up, since it has the prefixes of its calls in
        its cache; over all callers each as often (rendezvous hashing).
        """
        up = [route for route in self._routes.values() if not route.why_down]

        def weight(route: Route) -> bytes:
            return hashlib.sha256(f"{route.server.index} {caller}".encode()).digest()

        return max(up, key=weight, default=None)

    @property
    def all(self) -> list[Route]:
        return list(self._routes.values())

    def start(self, session: aiohttp.ClientSession) -> None:
        self._tasks = [asyncio.create_task(self._watch(session, route)) for route in self.all]
        self._tasks.append(asyncio.create_task(self._follow()))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def report_dead(self, route: Route, server: Server, why: str) -> None:
        """A call could not connect."""
        if route.server == server:
            route.is_dead(why)
            self._look_now.set()

    async def _watch(self, session: aiohttp.ClientSession, route: Route) -> None:
        """Asks one server for its health, for ever."""
        while True:
            route.wake.clear()
            server, asked = route.server, time.monotonic()
            report = await self._ask(session, route, asked)
            # A server that has moved meanwhile is not judged by its old address.
            if route.server == server:
                report()
            if route.why_down:
                self._look_now.set()
            if route.is_in_doubt:
                await asyncio.sleep(PROBE_SECONDS_IN_DOUBT)
            else:
                await _within(PROBE_SECONDS, route.wake)

    async def _ask(
        self, session: aiohttp.ClientSession, route: Route, asked: float
    ) -> Callable[[], None]:
        timeout = aiohttp.ClientTimeout(PROBE_TIMEOUT_SECONDS, sock_connect=CONNECT_SECONDS)
        url = f"http://{route.server.authority}/health"
        try:
            async with session.get(url, timeout=timeout) as answer:
                status = answer.status
        except aiohttp.ClientConnectorError as error:
            why = error.strerror or str(error)
            return lambda: route.is_dead(why)
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            why = f"/health gives no answer ({type(error).__name__})"
            return lambda: route.is_silent(asked, why)
        if status != 200:
            return lambda: route.is_silent(asked, f"/health answers {status}")
        return route.is_well

    async def _follow(self) -> None:
        """Lists the servers, for ever."""
        while True:
            begun = time.monotonic()
            self._look_now.clear()
            await self._look()
            is_down = any(route.why_down for route in self.all)
            await _within(LOOK_SECONDS_WHILE_DOWN - (time.monotonic() - begun))
            if not is_down:
                await _within(LOOK_SECONDS - (time.monotonic() - begun), self._look_now)

    async def _look(self) -> None:
        try:
            looking = asyncio.get_running_loop().run_in_executor(self._looker, self._discovery.look)
            listing = await looking
        except Exception as error:
            # Whatever a listing comes to, the next one may do better.
            self._progress.say(f"the rollout servers cannot be listed: {error}")
            return
        for server in listing.servers:
            self._routes[server.index].move_to(server)
        if listing.missing:
            missing = "; ".join(f"{index}: {why}" for index, why in listing.missing.items())
            self._progress.say(f"rollout servers that Ray does not show now: {missing}")


async def _within(seconds: float, event: asyncio.Event | None = None) -> None:
    """Waits so long, or until the event."""
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for((event or asyncio.Event()).wait(), max(0.0, seconds))
