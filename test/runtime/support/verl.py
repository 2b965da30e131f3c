"""The released verl packages, unpacked without what they depend on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

VERSIONS = ("0.8.0", "0.9.1")


@dataclass(frozen=True)
class Case:
    overrides: list[str]
    asynchronous: bool = False
    use_reference_policy: bool = False
    use_critic: bool = False


@dataclass(frozen=True)
class Outcome:
    config: Any
    """The composed and resolved configuration; None if it does not compose."""
    error: str | None
    refusal: str | None
    """Why verl's own validation refuses it; None if it accepts it."""


def check(version: str, cases: list[Case]) -> list[Outcome]:
    """Composes and validates with that release of verl, all in one process: imports are slow."""
    variable = f"SWE_RL_VERL_{version.replace('.', '_')}"
    directory = os.environ.get(variable)
    if not directory:
        pytest.skip(f"{variable} does not name the directory of verl {version}")
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "verl_check.py", directory],
        input=json.dumps([vars(case) for case in cases]),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [Outcome(**outcome) for outcome in json.loads(done.stdout)]
