"""A command in a pod over its websocket: what goes in, what comes out, and how it ended."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from websocket import ABNF, WebSocket, WebSocketException

from .errors import ExecConnectionLost, ExecFailed

CLOSING_SECONDS = 5.0
"""How long a connection may stay open after a command's exit code."""

CHUNK_BYTES = 32 * 1024

STDIN, STDOUT, STDERR, STATUS = range(4)
"""Channels of an exec."""


class Connection:
    """One command over one websocket.

    asyncio waits for the socket, so that a command that is silent for an hour costs no thread,
    and one that is cancelled leaves nothing behind. Only one task may use it.
    """

    def __init__(
        self, websocket: WebSocket, *, ping_seconds: float, silence_seconds: float
    ) -> None:
        self._websocket = websocket
        websocket.settimeout(0)
        self._socket: Any = websocket.sock
        self._ping_seconds = ping_seconds
        self._silence_seconds = silence_seconds
        self._outgoing: deque[memoryview] = deque()
        self._heard = time.monotonic()
        self._channel = STATUS
        self._read_wants_write = False

    def send(self, data: bytes) -> None:
        """Queues input of the command, to go out while `frames` is iterated."""
        self._queue(ABNF.OPCODE_BINARY, bytes([STDIN]) + data)

    def close(self) -> None:
        self._websocket.shutdown()

    async def frames(self, source: Iterable[bytes] = ()) -> AsyncGenerator[tuple[int, bytes]]:
        """What the command writes, by channel, until the server closes. `source` is its input.

        Raises ExecConnectionLost.
        """
        chunks = iter(source)
        has_more = True
        busy_since = time.monotonic()
        while True:
            if has_more and not self._outgoing:
                chunk = next(chunks, None)
                has_more = chunk is not None
                if chunk:
                    self.send(chunk)
            wrote = self._flush()
            frame = self._receive()
            if frame is None and not (wrote and has_more and not self._outgoing):
                await self._wait()
                busy_since = time.monotonic()
            elif time.monotonic() - busy_since > 0.02:
                # Others on this loop want their turn.
                await asyncio.sleep(0)
                busy_since = time.monotonic()
            if frame is None:
                continue
            self._heard = time.monotonic()
            data = frame.data if isinstance(frame.data, bytes) else frame.data.encode()
            if frame.opcode == ABNF.OPCODE_CLOSE:
                return
            if frame.opcode == ABNF.OPCODE_PING:
                self._queue(ABNF.OPCODE_PONG, data)
            elif frame.opcode == ABNF.OPCODE_CONT:
                yield self._channel, data
            elif frame.opcode in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and data:
                # 255 says in version 5 that a channel has ended; its end is of no use here.
                self._channel = data[0]
                if data[1:]:
                    yield self._channel, data[1:]

    def _queue(self, opcode: int, data: bytes) -> None:
        self._outgoing.append(memoryview(ABNF.create_frame(data, opcode).format()))

    def _flush(self) -> bool:
        """Whether anything went out."""
        wrote = False
        while self._outgoing:
            part = self._outgoing[0]
            try:
                sent = self._socket.send(part)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                raise ExecConnectionLost(f"the connection broke: {error}") from error
            wrote = True
            self._heard = time.monotonic()
            if sent == len(part):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = part[sent:]
        return wrote

    def _receive(self) -> ABNF | None:
        """The next frame, if it is there as a whole. What is there of it stays in the buffer."""
        self._read_wants_write = False
        try:
            # Not recv_data_frame, which answers pings itself and so in the midst of our frames.
            return self._websocket.frame_buffer.recv_frame()
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
            return None
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except (OSError, WebSocketException) as error:
            raise ExecConnectionLost(f"the connection broke: {error}") from error

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        descriptor = self._socket.fileno()
        loop.add_reader(descriptor, wake)
        if self._outgoing or self._read_wants_write:
            loop.add_writer(descriptor, wake)
        try:
            done, _ = await asyncio.wait([woken], timeout=self._ping_seconds)
        finally:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
        if done:
            return
        silence = time.monotonic() - self._heard
        if silence > self._silence_seconds:
            raise ExecConnectionLost(f"the API server has said nothing for {silence:.0f} s")
        if not self._outgoing:
            self._queue_ping()

    def _queue_ping(self) -> None:
        # A ping that leaves is no sign of life, so it must not count as progress.
        heard = self._heard
        self._queue(ABNF.OPCODE_PING, b"")
        self._flush()
        self._heard = heard


def exit_code(status: bytes) -> int:
    """Of a command, from what its status channel says. Raises ExecFailed."""
    try:
        report = json.loads(status)
        if report.get("status") == "Success":
            return 0
        for cause in (report.get("details") or {}).get("causes") or []:
            if cause.get("reason") == "ExitCode":
                return int(cause["message"])
        message = report.get("message") or status.decode(errors="replace")
    except (ValueError, KeyError, AttributeError):
        message = status.decode(errors="replace")
    raise ExecFailed(f"the command could not be started: {message}")


async def follow(
    connection: Connection,
    take: Callable[[int, bytes], Awaitable[None]],
    source: Iterable[bytes] = (),
) -> bytes:
    """What the status channel says at the end. Raises ExecConnectionLost where it says nothing."""
    status = b""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as patience, aclosing(connection.frames(source)) as frames:
            async for channel, data in frames:
                if channel == STATUS:
                    # The last output may come after it: streams are copied side by side.
                    patience.reschedule(loop.time() + CLOSING_SECONDS)
                    status += data
                elif channel in (STDOUT, STDERR):
                    await take(channel, data)
    except (ExecConnectionLost, TimeoutError):
        if not status:
            raise
    if not status:
        raise ExecConnectionLost("the connection was closed before the command's exit code came")
    return status
