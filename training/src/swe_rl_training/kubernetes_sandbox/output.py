"""What a command writes."""

from __future__ import annotations

import codecs

from harbor.environments.base import OutputCallback, OutputStream

from .settings import MIB

MOST_OUTPUT_BYTES = 64 * MIB
"""What is kept of one stream of a command; a runaway one would else fill the trainer's memory."""


class Output:
    """What a command writes to one stream, as text, and line by line to whoever listens."""

    def __init__(self, stream: OutputStream, listener: OutputCallback | None = None) -> None:
        self._stream: OutputStream = stream
        self._listener = listener
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parts: list[str] = []
        self._line = ""
        self._bytes = 0

    async def add(self, data: bytes, *, final: bool = False) -> None:
        room = max(0, MOST_OUTPUT_BYTES - self._bytes)
        self._bytes += len(data)
        text = self._decoder.decode(data, final)
        if room:
            self._parts.append(text if len(data) <= room else text[:room])
        if self._listener is None:
            return
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            await self._listener(f"{line}\n", self._stream)
        if self._line and (final or len(self._line) > MIB):
            line, self._line = self._line, ""
            await self._listener(line, self._stream)

    @property
    def text(self) -> str | None:
        """None where it wrote nothing, as Harbor wants it."""
        left_out = self._bytes - MOST_OUTPUT_BYTES
        note = f"\n[{left_out} further bytes are left out]\n" if left_out > 0 else ""
        return "".join(self._parts) + note or None
