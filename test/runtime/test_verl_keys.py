"""The keys of verl's configuration that the product knows are those of the released packages.

    UPDATE_VERL_KEYS=1 npm test -- test/runtime/test_verl_keys.py    writes them anew
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.verl import VERSIONS, Case, check

KEYS = Path(__file__).parents[2] / "plan/verl/keys"
ENGINES = ("fsdp", "veomni", "megatron")


def keys_of(value: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys; a map without keys of its own ends in `.*`, since anything can be added to it."""
    for name, child in value.items():
        key = f"{prefix}{name}"
        if isinstance(child, dict) and child:
            yield from keys_of(child, f"{key}.")
        else:
            yield f"{key}.*" if isinstance(child, dict) else key


def composed(version: str) -> dict[str, list[str]]:
    """Keys by where they are: everywhere, with one engine, or in asynchronous training alone."""
    wanted = [(engine, mode) for engine in ENGINES for mode in (False, True)]
    cases = [
        Case([] if engine == "fsdp" else [f"model_engine={engine}"], asynchronous=mode)
        for engine, mode in wanted
    ]
    found: dict[tuple[str, bool], set[str]] = {}
    for place, outcome in zip(wanted, check(version, cases), strict=True):
        assert outcome.error is None, (place, outcome.error)
        found[place] = set(keys_of(outcome.config))
    everywhere = set.intersection(*found.values())
    asynchronous = set.intersection(*(keys for (_, mode), keys in found.items() if mode))
    asynchronous -= everywhere
    groups = {"everywhere": everywhere, "async": asynchronous}
    for engine in ENGINES:
        groups[engine] = found[engine, False] | found[engine, True]
        groups[engine] -= everywhere | asynchronous
    return {name: sorted(keys) for name, keys in groups.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_checked_in_keys_are_those_of_the_release(version: str) -> None:
    file = KEYS / f"{version}.json"
    now = composed(version)
    if os.environ.get("UPDATE_VERL_KEYS"):
        # `npm run format` writes it as the other files.
        file.write_text(json.dumps(now, indent=2) + "\n")
    assert json.loads(file.read_text()) == now
