"""Runs a training command and keeps its output: the entry point of the run's Ray job, on the head.

    launch_run.py --directory DIR --log FILE --vllm-log FILE [--gpus N] -- COMMAND [ARGUMENT...]

With `--gpus` the command starts once Ray has so many (await_gpus.py).

Everything that the command prints goes to standard output (from where Ray keeps it) and to the end
of `--log`; its lines about the rollout servers' throughput also go to the end of `--vllm-log`. A
restarted run goes on in the same files. Standard library only.

The log volume may fill up or fall away: that must not end a run of days, so it is said once, and
writing is tried again every minute.

Exit code: the command's; 128 + n if signal n ended it; 126 or 127 if it could not be started.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ABOUT_VLLM = re.compile(rb"vLLMHttpServer|throughput|tokens?/s")
"""The lines that the original launch script sorts into the throughput log."""

RETRY_SECONDS = 60.0
"""Between two attempts to write to a log that failed."""

DRAIN_SECONDS = 5.0
"""How long output is awaited after the command has ended; what it left behind may hold the pipe."""

LONGEST_LINE = 1 << 20
"""Bytes after which an unfinished line is sorted as if it were finished."""


class Log:
    """A file that is appended to as long as its volume lets us."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None
        self._failing = False
        self._retry_at = 0.0
        self._lost = 0

    def write(self, data: bytes) -> None:
        if self._failing and time.monotonic() < self._retry_at:
            self._lost += len(data)
            return
        try:
            if self._file is None:
                os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            if self._lost:
                gap = f"\n[launch_run: {self._lost} bytes are missing here]\n"
                _write_all(self._file, gap.encode())
            _write_all(self._file, data)
            self._failing, self._lost = False, 0
        except OSError as error:
            if not self._failing:
                _say(f"cannot write {self._path} ({error.strerror}); the run goes on without it")
            self._failing = True
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._lost += len(data)
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            try:
                os.close(self._file)
            except OSError:
                pass
        self._file = None


class Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that this piece completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        return [line + b"\n" for line in lines]


def main(arguments: list[str]) -> int:
    options, command = _parse(arguments)
    log, vllm_log = Log(options.log), Log(options.vllm_log)
    # Both files exist from the start, so that whoever looks for them finds them.
    log.write(b"")
    vllm_log.write(b"")
    # From here on a signal is the command's: it may still want to save something.
    forwarded: list[int] = []

    def forward(number: int, _: object) -> None:
        # Ray starts each entry point in a session of its own, so the group is the run. The signal
        # comes back to this process as well, hence only once.
        if number not in forwarded:
            forwarded.append(number)
            os.killpg(os.getpgrp(), number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    commands = [command]
    if options.gpus:
        waiting = str(Path(__file__).with_name("await_gpus.py"))
        commands.insert(0, [sys.executable, waiting, str(options.gpus)])
    for one in commands:
        if code := _run(one, options.directory, log, vllm_log):
            return code
    return 0


def _run(command: list[str], directory: str, log: Log, vllm_log: Log) -> int:
    """Runs a command to its end. Returns this program's exit code."""
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        text = f"cannot start {command[0]} in {directory}: {error.strerror}\n"
        log.write(text.encode())
        _say(text.rstrip())
        return 127 if missing else 126
    lines = Lines()
    for data in _output(process):
        log.write(data)
        _print(data)
        for line in lines.feed(data):
            if ABOUT_VLLM.search(line):
                vllm_log.write(line)
    code = process.wait()
    return 128 - code if code < 0 else code


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description="Runs a training command and keeps its output.",
        usage="%(prog)s --directory DIR --log FILE --vllm-log FILE [--gpus N] -- COMMAND [ARGUMENT...]",
    )
    parser.add_argument("--directory", required=True, help="working directory of the command")
    parser.add_argument("--log", required=True, help="file for all output")
    parser.add_argument("--vllm-log", required=True, help="file for the lines about throughput")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs that Ray must have first")
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, command = parser.parse_args(arguments[:end]), arguments[end + 1 :]
    if not command:
        parser.error("there is no command after --")
    return options, command


def _output(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What the process prints, until it has ended and nothing more comes."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    ended_at: float | None = None
    while True:
        ready, _, _ = select.select([pipe], [], [], 0.5)
        if ready:
            data = os.read(pipe, 1 << 16)
            if not data:
                return
            yield data
        if ended_at is None and process.poll() is not None:
            ended_at = time.monotonic()
        if ended_at is not None and (not ready or time.monotonic() - ended_at > DRAIN_SECONDS):
            return


def _print(data: bytes) -> None:
    """To standard output, which lies on a disk that may be full."""
    try:
        _write_all(sys.stdout.fileno(), data)
    except OSError:
        pass


def _say(text: str) -> None:
    _print(f"launch_run: {text}\n".encode())


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
