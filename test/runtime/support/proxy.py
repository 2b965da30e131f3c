"""A real LiteLLM proxy, in front of stand-ins for the rollout servers."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import httpx

from .network import free_port
from .processes import Tree, wait_until

MASTER_KEY = "sk-master-0123456789abcdef"
SANDBOX_KEY = "sk-sandbox-0123456789abcdef"
VLLM_KEY = "vllm-key"

_START = "from litellm import run_server; run_server()"


class Proxy:
    """Started as its pod starts it: the same file, keys and variables."""

    def __init__(self, configuration: Path, log: Path, **environment: str) -> None:
        port = free_port()
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.begun = time.monotonic()
        self.process = Tree(
            [
                *(sys.executable, "-c", _START, "--config", configuration),
                *("--host", "127.0.0.1", "--port", str(port)),
            ],
            log=log,
            cwd=log.parent,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(log.parent),
                "LITELLM_MASTER_KEY": MASTER_KEY,
                "SANDBOX_API_KEY": SANDBOX_KEY,
                "VLLM_API_KEY": VLLM_KEY,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                **environment,
            },
        )

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
