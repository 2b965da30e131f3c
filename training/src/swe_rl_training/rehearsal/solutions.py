"""What the policy of a rehearsal says: it looks, applies a task's reference solution or not, looks again, and ends."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .chat import Prompt

MOST_COMMAND = 4000
"""Characters of a solution that fits into one call."""


@dataclass(frozen=True)
class Turn:
    text: str
    command: str | None = None
    """A shell command to run by the agent's tool."""


@dataclass
class Script:
    """The next turn after a prompt. `share`: of the trials in which it applies the reference solution."""

    solutions: Mapping[str, str]
    """Commands by the instructions of their tasks."""
    share: float = 0.5
    seed: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def turn(self, prompt: Prompt) -> Turn:
        if prompt.shell is None:
            return Turn("A rehearsal.")
        match prompt.calls:
            case 0:
                return Turn("Let me look. ", "pwd && ls")
            case 1:
                solution = self._solution(prompt.user)
                applies = solution is not None and self._random.random() < self.share
                return Turn("I see. ", solution if applies else "echo nothing to do")
            case 2:
                return Turn("Let me look again. ", "ls -l")
            case _:
                return Turn("That is all.")

    def _solution(self, said: str) -> str | None:
        words = plain(said)
        return next(
            (command for instruction, command in self.solutions.items() if instruction in words), None
        )


def plain(text: str) -> str:
    """Without what differs where a text is quoted."""
    return " ".join(text.split())


def read_solutions(tasks: Iterable[Path]) -> dict[str, str]:
    """Of Harbor tasks: the commands of `solution/solve.sh` by instruction, as far as they fit into one call."""
    found: dict[str, str] = {}
    for task in tasks:
        try:
            instruction = plain((task / "instruction.md").read_text())
            script = (task / "solution/solve.sh").read_text()
        except OSError:
            continue
        command = re.sub(r"\A#!.*\n", "", script).strip()
        if instruction and len(command) <= MOST_COMMAND:
            found[instruction] = command
    return found
