"""What this project's own TypeScript makes of settings."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[1]


def _run(*arguments: str, program: str = "plans.ts", text: str = "") -> Any:
    node = os.environ.get("SWE_RL_NODE", "node")
    done = subprocess.run(
        [node, _FOLDER / program, *arguments], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def plans() -> list[dict[str, Any]]:
    """Plans of the shipped configuration files and of variations on them."""
    result: list[dict[str, Any]] = _run()
    return result


def shipped_plan(stack: str) -> dict[str, Any]:
    return next(plan for plan in plans() if plan["name"] == stack)


def hydra_overrides(pairs: list[tuple[str, Any]]) -> list[str]:
    """`key=value` as the Plan writes it for verl."""
    result: list[str] = _run("override", text=json.dumps(pairs))
    return result


@cache
def docker_objects(image: str) -> list[dict[str, Any]]:
    """Networks, volumes and containers that the program registers on a Docker site."""
    result: list[dict[str, Any]] = _run(image, program="docker_stack.ts")
    return result
