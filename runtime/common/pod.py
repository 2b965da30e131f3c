"""What every program of a pod needs: its environment, its end, and lines that tell where it stands.

Standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

BAD_INPUT = 2
"""Exit code of every program whose environment or files cannot be used."""

QUIET_SECONDS = 30.0
"""Longest silence of a program that waits."""

SPACING_SECONDS = 3.0
"""Shortest time between two lines about the same wait."""


class BadInput(Exception):
    """A variable or a file that the program was started with cannot be used."""


class GiveUp(Exception):
    """The end of a program, with its exit code and the reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def run(
    name: str, program: Callable[[], int], ended: Callable[[], str] = lambda: "ended by a signal"
) -> int:
    """Exit code of a program; SIGTERM, unusable input and GiveUp end it with one line."""

    def terminate(number: int, _: object) -> NoReturn:
        raise GiveUp(128 + number, ended())

    signal.signal(signal.SIGTERM, terminate)
    try:
        return program()
    except GiveUp as end:
        say(f"{name}: {end}")
        return end.code
    except BadInput as error:
        say(f"{name}: {error}")
        return BAD_INPUT


def required(name: str) -> str:
    """Value of an environment variable that must not be empty."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise BadInput(f"environment variable {name} is not set")
    return value


def number(name: str, default: float | None = None) -> float:
    """Value of an environment variable that holds a number of at least 0.

    Without a default the variable is required.
    """
    text = required(name) if default is None else os.environ.get(name, "").strip()
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise BadInput(f"environment variable {name} must be a number of at least 0, not {text!r}")
    return value


def say(text: str) -> None:
    """One line about the program itself. On standard error: standard output belongs to results."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Says where a wait stands: when that changes, and every half minute, but in no flood."""

    def __init__(self) -> None:
        self._shown = ""
        self._shown_at = float("-inf")

    def say(self, state: str, left: float | None = None) -> None:
        """`left`: seconds that remain; their change alone is worth no line."""
        silence = time.monotonic() - self._shown_at
        if silence >= QUIET_SECONDS or (state != self._shown and silence >= SPACING_SECONDS):
            say(state if left is None else f"{state} ({left:.0f} s left)")
            self._shown, self._shown_at = state, time.monotonic()
