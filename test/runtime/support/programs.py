"""The programs under test, started as their pods start them."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .cluster import JOBS_URL, TOKEN
from .processes import Tree

SOURCES = Path(__file__).resolve().parents[3] / "runtime"
"""One folder a program, and `common`."""


def _flat_copy() -> Path:
    """All programs in one directory, as pods find a folder and `common` in one."""
    directory = Path(tempfile.mkdtemp(prefix="swe-rl-runtime-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    for source in SOURCES.glob("*/*.py"):
        shutil.copy(source, directory)
    return directory


RUNTIME = _flat_copy()


PYTHON = os.environ.get("SWE_RL_RUNTIME_PYTHON", sys.executable)
"""Interpreter with the packages of the runtime tests."""


def start_program(
    name: str, environment: Mapping[str, str], log: Path, options: Sequence[str] = ()
) -> Tree:
    """Runs it without any installed package: its image has the standard library, and no more."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return Tree(
        [PYTHON, "-S", "-B", RUNTIME / name, *options],
        log=log,
        env={**inherited, **environment},
    )


def discovery_environment(directory: Path, **more: str) -> dict[str, str]:
    """Environment of discover_rollouts.py, with its table in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    return {
        "RAY_JOBS_URL": JOBS_URL,
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_NAMESPACE": "run",
        "ROLLOUT_SERVERS": "2",
        "LIST_PROGRAM": str(RUNTIME / "list_rollouts.py"),
        "ROLLOUT_TABLE": str(directory / "table" / "rollouts.json"),
        "DISCOVERY_TIMEOUT_SECONDS": "120",
        **more,
    }


def submitter_environment(
    directory: Path, name: str, argv: Sequence[str], *, fingerprint: str = "aaaa", **more: str
) -> dict[str, str]:
    """Environment of submit_run.py, with its run's logs in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    spec = {
        "name": name,
        "fingerprint": fingerprint,
        "argv": list(argv),
        "workingDirectory": str(directory),
        "trainingLog": str(directory / "logs" / "run.log"),
        "vllmLog": str(directory / "logs" / "run_vllm.log"),
        "gpus": int(more.pop("gpus", "0")),
        "maxRestarts": int(more.pop("max_restarts", "3")),
    }
    spec_file = directory / f"run-{fingerprint}.json"
    spec_file.write_text(json.dumps(spec))
    return {
        "RAY_JOBS_URL": JOBS_URL,
        "RAY_AUTH_TOKEN": TOKEN,
        "RUN_SPEC": str(spec_file),
        "LAUNCH_PROGRAM": str(RUNTIME / "launch_run.py"),
        "HEAD_TIMEOUT_SECONDS": "120",
        "POLL_SECONDS": "0.5",
        "RESTART_PAUSE_SECONDS": "0.2",
        "LOSS_SECONDS": "1",
        **more,
    }
