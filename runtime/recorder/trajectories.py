"""Files of recorded calls: `<directory>/<trial>/litellm-trajectory.jsonl`, a line for each call.

Whatever names the trial comes from a sandbox, so it is reduced to the name of one directory. One
process writes, each line with one write at the file's end. No call waits for the disk: lines are
written by a thread, and what cannot be written is counted and logged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pod import say

FILE_NAME = "litellm-trajectory.jsonl"
UNATTRIBUTED = "unattributed"

PATH_HEADER = "x-trajectory-output-path"
SESSION_HEADERS = ("x-claude-code-session-id", "x-session-id")

LONGEST_NAME = 128
"""Characters of a directory's name; file systems take 255 bytes."""

MOST_WAITING = 4096
"""Lines that may wait for the disk. Further ones are lost, and counted."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def trial_of(headers: Mapping[str, str]) -> str:
    """The directory for a call, by what its headers say.

    Agents send a path such as `.../<trial>/agent/litellm-trajectory.jsonl`: its last directory that
    is not `agent` is the trial. Others are known by their session alone.
    """
    parts = [part for part in headers.get(PATH_HEADER, "").split("/") if part]
    if parts and parts[-1].endswith(".jsonl"):
        parts.pop()
    if parts and parts[-1] == "agent":
        parts.pop()
    trial = _safe(parts[-1]) if parts else ""
    if trial:
        return trial
    for header in SESSION_HEADERS:
        session = _safe(headers.get(header, ""))
        if session:
            return _safe(f"session-{session}")
    return UNATTRIBUTED


def _safe(name: str) -> str:
    """A name that is one directory, whatever it was. Different names stay different."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")
    if not safe or (safe == name and len(name) <= LONGEST_NAME):
        return safe
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{safe[: LONGEST_NAME - len(digest) - 1]}-{digest}"


class Trajectories:
    """The files of one run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="trajectories")
        self._lock = threading.Lock()
        self._waiting = 0
        self._lost = 0
        self._written = 0

    @property
    def counts(self) -> dict[str, int]:
        return {"written": self._written, "waiting": self._waiting, "lost": self._lost}

    def add(self, trial: str, record: Callable[[], Mapping[str, Any]]) -> None:
        """Has a line written soon, with what `record` then returns. Never fails, never waits."""
        with self._lock:
            full = self._waiting >= MOST_WAITING
            self._waiting += not full
        if full:
            self._lose(f"{MOST_WAITING} lines wait for the disk")
        else:
            self._writer.submit(self._write, trial, record)

    def close(self) -> None:
        """Returns when every line is written or lost."""
        self._writer.shutdown(wait=True)

    def _write(self, trial: str, record: Callable[[], Mapping[str, Any]]) -> None:
        try:
            line = json.dumps(record(), separators=(",", ":")).encode() + b"\n"
            self._append(trial, line)
        except (OSError, ValueError, TypeError) as error:
            self._lose(f"{trial}: {error}")
        else:
            self._written += 1
        finally:
            with self._lock:
                self._waiting -= 1

    def _append(self, trial: str, line: bytes) -> None:
        # Files of a trial come out of its sandbox: no link among them may lead elsewhere.
        self._directory.mkdir(parents=True, exist_ok=True)
        root = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                os.mkdir(trial, 0o755, dir_fd=root)
            except FileExistsError:
                pass
            directory = os.open(trial, DIRECTORY, dir_fd=root)
        finally:
            os.close(root)
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            file = os.open(FILE_NAME, flags, 0o644, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            written = os.write(file, line)
            if written < len(line):
                # The disk is full: what follows must at least begin on a line of its own.
                os.write(file, b"\n")
                raise OSError(f"only {written} of {len(line)} bytes written")
        finally:
            os.close(file)

    def _lose(self, reason: str) -> None:
        with self._lock:
            self._lost += 1
            lost = self._lost
        say(f"a call is not recorded ({lost} so far): {reason}")
