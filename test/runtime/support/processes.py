"""Processes of a test, ended with everything that they have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

KEEPER = Path(__file__).parent / "keeper.py"


class Tree:
    """A command and all its descendants."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        self._output = Path(f"{log}.out")
        self._code = Path(f"{log}.code")
        with log.open("wb") as errors, self._output.open("wb") as output:
            self._keeper = subprocess.Popen(
                [sys.executable, "-S", "-B", KEEPER, self._code, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the command itself runs."""
        return not self._code.exists()

    @property
    def output(self) -> str:
        """Standard output so far."""
        return self._output.read_text(errors="replace")

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self._keeper.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Exit code of the command."""
        deadline = time.monotonic() + seconds
        while self.running:
            assert time.monotonic() < deadline, (
                f"still running after {seconds} s\n{self.errors[-3000:]}\n{self.output[-3000:]}"
            )
            time.sleep(0.05)
        return int(self._code.read_text())

    def kill(self) -> None:
        """Ends all of it, now."""
        kill_descendants(self._keeper.pid)
        try:
            self._keeper.wait(5)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()


def kill_descendants(root: int) -> None:
    while descendants := _descendants(root):
        for pid in descendants:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if after_name[0] != "Z":
                children.setdefault(int(after_name[1]), []).append(int(entry.name))
    found: list[int] = []
    rest = list(children.get(root, []))
    while rest:
        pid = rest.pop()
        found.append(pid)
        rest += children.get(pid, [])
    return found


def wait_until(
    condition: Callable[[], object], seconds: float, what: str, pause: float = 0.1
) -> None:
    """Waits for a condition; fails the test if it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(pause)
