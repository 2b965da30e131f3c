"""What a pod gets is one folder of runtime/ and `common`: nothing else is imported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.programs import SOURCES

MODULES = {path.stem: path for path in SOURCES.glob("*/*.py")}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names & set(MODULES)


def test_no_two_modules_have_the_same_name() -> None:
    assert len(MODULES) == len(list(SOURCES.glob("*/*.py")))


@pytest.mark.parametrize("path", MODULES.values(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_module_imports_only_its_folder_and_common(path: Path) -> None:
    foreign = {
        name
        for name in imported(path)
        if MODULES[name].parent not in (path.parent, SOURCES / "common")
    }
    assert foreign == set()
