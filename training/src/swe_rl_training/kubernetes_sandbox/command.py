"""What Harbor has a sandbox do: a shell says which process it is, and then gets the script."""

from __future__ import annotations

from .connection import CHUNK_BYTES, STDERR, STDOUT, Connection, exit_code, follow
from .errors import ExecFailed
from .output import Output
from .scripts import PID


class Run:
    """A command from its start to its exit code."""

    def __init__(self, script: bytes, stdout: Output, stderr: Output) -> None:
        self._script = script
        self.stdout = stdout
        self.stderr = stderr
        self.pid: int | None = None
        """Known before the command starts, so that none runs which could not be killed."""
        self._preface = b""

    async def finish(self, connection: Connection) -> int:
        async def take(channel: int, data: bytes) -> None:
            if channel == STDOUT:
                await self.stdout.add(data)
            elif channel == STDERR and self.pid is not None:
                await self.stderr.add(data)
            elif channel == STDERR:
                self._preface += data
                if found := PID.search(self._preface):
                    self.pid = int(found[1])
                    for start in range(0, len(self._script), CHUNK_BYTES):
                        connection.send(self._script[start : start + CHUNK_BYTES])
                    rest = self._preface[: found.start()] + self._preface[found.end() :]
                    await self.stderr.add(rest)

        code = exit_code(await follow(connection, take))
        if self.pid is None:
            raise ExecFailed(
                f"no shell could be started: {self._preface.decode(errors='replace').strip()} "
                f"(exit code {code})"
            )
        await self.stdout.add(b"", final=True)
        await self.stderr.add(b"", final=True)
        return code
