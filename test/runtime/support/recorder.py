"""The recorder, started as its pod starts it, in front of stand-ins for rollout servers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from .backend import Backend
from .network import free_port
from .processes import Tree, wait_until
from .programs import PYTHON, RUNTIME, discovery_environment

FILE_NAME = "litellm-trajectory.jsonl"


class Recorder:
    """One recorder with files of its own."""

    def __init__(self, directory: Path, backends: Iterable[Backend], **environment: str) -> None:
        """Without a Ray of the test's own, the addresses of the table stay as they are."""
        directory.mkdir(parents=True, exist_ok=True)
        self.trials = directory / "trials"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        table = directory / "table.json"
        servers = [
            {"index": index, "host": "127.0.0.1", "port": backend.port}
            for index, backend in enumerate(backends)
        ]
        table.write_text(json.dumps(servers))
        self.environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
            **discovery_environment(directory),
            "RAY_JOBS_URL": "http://127.0.0.1:1",
            "ROLLOUT_SERVERS": str(len(servers)),
            "ROLLOUT_TABLE": str(table),
            "RECORDER_PORT": str(self.port),
            "TRAJECTORIES_DIRECTORY": str(self.trials),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        self._directory = directory
        self._starts = 0
        self.start()

    def start(self) -> None:
        """Starts it, or once more after its end."""
        self._starts += 1
        self.process = Tree(
            [PYTHON, "-u", RUNTIME / "recorder.py"],
            log=self._directory / f"recorder-{self._starts}.log",
            env=self.environment,
        )

    def wait(self) -> None:
        """Until it is ready."""

        def is_ready() -> bool:
            assert self.process.running, self.process.errors
            try:
                return httpx.get(f"{self.url}/ready", trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(is_ready, 30, "start of the recorder")

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = httpx.get(f"{self.url}/ready", trust_env=False).json()
        return state

    def is_down(self, index: int) -> bool:
        return self.state["servers"][index]["down"] is not None

    def records(self, trial: str | None = None) -> list[dict[str, Any]]:
        """Every line of a trial's file, or of all."""
        files = self.trials.glob(f"{trial or '*'}/{FILE_NAME}")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def settled(self, trial: str, count: int) -> list[dict[str, Any]]:
        """The lines of a trial, once there are so many."""
        wait_until(lambda: len(self.records(trial)) >= count, 15, f"{count} lines of {trial}")
        records = self.records(trial)
        assert len(records) == count, [record["outcome"] for record in records]
        return records
