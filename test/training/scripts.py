"""What the policy says in a trial of one of our tasks: it looks, mends or spoils, tests, and ends."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policy import Turn

TASKS = Path(__file__).parents[2] / "training/tasks"


class Solver:
    """`right`: share of the trials in which it mends the bug."""

    def __init__(self, right: float = 0.6, seed: int = 3) -> None:
        self._right = right
        self._random = random.Random(seed)

    def __call__(self, messages: list[dict[str, Any]]) -> Turn:
        task = _task_of(messages)
        if task is None:
            return Turn("A small bug in a few lines")
        match _rounds(messages):
            case 0:
                return Turn("Let me look. ", "cat /srv/*.py", compact=self._random.random() < 0.3)
            case 1:
                mends = self._random.random() < self._right
                return Turn("I see. ", _solution(task) if mends else "echo nothing to do")
            case 2:
                return Turn("Now I try it. ", "cd /srv && python3 -c 'import os; print(os.listdir())'")
            case _:
                return Turn("The bug is mended.")


def _task_of(messages: Sequence[dict[str, Any]]) -> str | None:
    text = str([message["content"] for message in messages if message["role"] == "user"])
    for task in sorted(TASKS.iterdir()):
        name = re.search(r"`(\w+)`", (task / "instruction.md").read_text())
        assert name is not None
        file = next((task / "environment").glob("*.py")).name
        if file in text:
            return task.name
    return None


def _rounds(messages: Sequence[dict[str, Any]]) -> int:
    return sum(bool(message.get("tool_calls")) for message in messages)


def _solution(task: str) -> str:
    return (TASKS / task / "solution/solve.sh").read_text().splitlines()[-1]
