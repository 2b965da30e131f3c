"""One pod, by what the trainer's account may do: create, get, delete, and run commands in it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from websocket import WebSocket

from .cluster import ApiFailure, Cluster, callers, pauses, shared_cluster
from .connection import STDOUT, Connection, exit_code, follow
from .errors import ExecConnectionLost, SandboxGone
from .output import Output
from .pod import Pod, ended
from .settings import KubernetesSettings

OPEN_SECONDS = 60.0
"""How long a command is retried that could not be started."""

TRANSFER_ATTEMPTS = 3

T = TypeVar("T")


class PodAccess:
    """Opening a command is tried again while the API server is busy; other calls are made once."""

    def __init__(self, settings: KubernetesSettings, name: str, logger: logging.Logger) -> None:
        self._settings = settings
        self._name = name
        self._logger = logger

    @property
    def _cluster(self) -> Cluster:
        return shared_cluster(self._settings.kubeconfig, self._settings.parallel_calls)

    def _submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        return callers(self._settings.parallel_calls).submit(work, *args)

    async def _call(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.wrap_future(self._submit(work, *args))

    def create(self, pod: Pod) -> Future[None]:
        """The call goes on although whoever waits for it is cancelled."""
        return self._submit(self._cluster.create, pod)

    async def get(self) -> Pod:
        """Raises SandboxGone where there is no such pod."""
        try:
            return await self._call(self._cluster.get, self._settings.namespace, self._name)
        except ApiFailure as failure:
            if failure.status == 404:
                raise SandboxGone(f"pod {self._name} does not exist any more") from failure
            raise

    async def delete(self) -> None:
        await self._call(self._cluster.delete, self._settings.namespace, self._name)

    @asynccontextmanager
    async def entered(self, command: list[str]) -> AsyncIterator[Connection]:
        websocket = await self._open(command)
        connection = Connection(
            websocket,
            ping_seconds=self._settings.ping_seconds,
            silence_seconds=self._settings.silence_seconds,
        )
        try:
            yield connection
        finally:
            connection.close()

    async def _open(self, command: list[str]) -> WebSocket:
        """Trying again is safe: nothing that counts has run before the connection is there."""
        by = time.monotonic() + OPEN_SECONDS
        for pause in pauses(0.5, 10):
            opening = self._submit(
                self._cluster.open_exec, self._settings.namespace, self._name, command
            )
            try:
                return await asyncio.wrap_future(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_close_opened)
                raise
            except ApiFailure as failure:
                await self.raise_if_gone(failure)
                pause = max(pause, failure.wait)
                if not failure.is_transient or time.monotonic() + pause > by:
                    raise ExecConnectionLost(
                        f"pod {self._name} cannot be entered: {failure}"
                    ) from failure
            await asyncio.sleep(pause)
        raise AssertionError("pauses do not end")

    async def raise_if_gone(self, error: Exception) -> None:
        try:
            pod = await self.get()
        except ApiFailure:
            return
        if why := ended(pod):
            raise SandboxGone(f"pod {self._name} has ended: {why}") from error

    async def explain(self, error: ExecConnectionLost) -> None:
        """Raises the same loss with the pod's name, or SandboxGone where the pod has ended."""
        await self.raise_if_gone(error)
        if self._name not in str(error):
            raise ExecConnectionLost(f"pod {self._name}: {error}") from error

    async def run_script(
        self,
        what: str,
        script: str,
        arguments: list[str],
        *,
        source: Callable[[], Iterable[bytes]] = tuple,
        sink: Callable[[bytes], None] = lambda _: None,
        reset: Callable[[], None] = lambda: None,
        attempts: int = TRANSFER_ATTEMPTS,
    ) -> tuple[int, str]:
        """Exit code and errors of one of our own scripts, which may run more than once."""
        for attempt in range(1, attempts + 1):
            errors = Output("stderr")
            reset()

            async def take(channel: int, data: bytes, errors: Output = errors) -> None:
                if channel == STDOUT:
                    sink(data)
                else:
                    await errors.add(data)

            try:
                async with self.entered(["sh", "-c", script, "sh", *arguments]) as connection:
                    status = await follow(connection, take, source())
                return exit_code(status), (errors.text or "").strip()
            except ExecConnectionLost as error:
                if attempt == attempts:
                    await self.explain(error)
                    raise
                await self.raise_if_gone(error)
                self._logger.debug(f"{what}: attempt {attempt} failed: {error}")
        raise AssertionError("there is at least one attempt")


def _close_opened(opening: Future[WebSocket]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().shutdown()
