"""A real LiteLLM proxy with the Plan's configuration."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import httpx

from .network import free_port
from .our_code import shipped_plan
from .processes import Tree, wait_until
from .programs import PYTHON, RUNTIME

MASTER_KEY = "sk-master-0123456789abcdef"
SANDBOX_KEY = "sk-sandbox-0123456789abcdef"


def trial_key(secret: str, trial: str) -> str:
    """The key of a trial, as the agent loop makes it, which this environment does not have."""
    mac = hmac.digest(secret.encode(), f"trial {trial}".encode(), hashlib.sha256).hex()
    return f"sk-{trial}.{mac}"


_START = "from litellm import run_server; run_server()"


def write_configuration(directory: Path, recorder_url: str) -> Path:
    """The Plan's configuration, and beside it what LiteLLM loads with it."""
    plan = shipped_plan("single-node")
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plan["litellm"])
    assert text.count(plan["recorder"]["url"]) == len(plan["litellm"]["model_list"])
    configuration = directory / "config.yaml"
    configuration.write_text(text.replace(plan["recorder"]["url"], recorder_url))
    for name in ("sandbox_auth.py", "call_headers.py"):
        shutil.copy(RUNTIME / name, directory)
    return configuration


class Proxy:
    """Started as its pod starts it: the same file, keys and variables."""

    def __init__(
        self, configuration: Path, log: Path, *, host: str = "127.0.0.1", **environment: str
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._start: dict[str, Any] = {
            "command": [
                *(PYTHON, "-c", _START, "--config", configuration),
                *("--host", host, "--port", str(self.port)),
            ],
            "cwd": log.parent,
            "env": {
                "PATH": os.environ["PATH"],
                "HOME": str(log.parent),
                "LITELLM_MASTER_KEY": MASTER_KEY,
                "SANDBOX_API_KEY": SANDBOX_KEY,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                **environment,
            },
        }
        self._log = log
        self._starts = 0
        self.start()

    def start(self) -> None:
        """Starts it, or once more after its end, on the same port."""
        self.begun = time.monotonic()
        self._starts += 1
        self.process = Tree(**self._start, log=self._log.with_suffix(f".{self._starts}.log"))

    def wait(self) -> None:
        """Until its probe answers."""

        def answers() -> bool:
            assert self.process.running, self.process.errors[-3000:]
            try:
                return httpx.get(f"{self.url}/health/liveliness", timeout=2).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(answers, 90, "start of LiteLLM")
        self.seconds_to_start = time.monotonic() - self.begun

    def client(self, key: str | None = SANDBOX_KEY, header: str = "x-api-key") -> httpx.Client:
        headers = {} if key is None else {header: key}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)
