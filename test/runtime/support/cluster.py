"""A real Ray cluster with token authentication, in this process's network namespace."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import Tree, wait_until

TOKEN = "test-token-0123456789abcdef0123456789abcdef"
ADDRESS = "127.0.0.1:6379"
JOBS_URL = "http://127.0.0.1:8265"
ROLLOUT_RESOURCE = "rollout_node"


class Cluster:
    """A head without CPUs, as in production, and one node on which the rollout servers live."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._nodes: list[Tree] = []
        # Ray's socket paths must stay below 108 characters.
        self._directory = tempfile.mkdtemp(prefix="swe-rl-", dir="/tmp")
        self._starts = 0
        self._gpu_nodes = 0

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the head and of everything that is to reach it as a driver."""
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_ADDRESS": ADDRESS,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DEDUP_LOGS": "0",
            "RAY_enable_open_telemetry": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self) -> None:
        self._starts += 1
        common = ("--object-store-memory=80000000", "--num-gpus=0", "--block")
        head = self._node(
            "head",
            (
                "--head",
                "--port=6379",
                "--num-cpus=0",
                f"--temp-dir={self._directory}/{self._starts}",
            ),
            ("--dashboard-host=127.0.0.1", "--dashboard-port=8265", *common),
        )
        wait_until(lambda: self._alive_nodes(head) == 1, 120, "start of Ray's head")
        node = self._node(
            "node",
            (f"--address={ADDRESS}", "--num-cpus=4", f'--resources={{"{ROLLOUT_RESOURCE}": 100}}'),
            common,
        )
        wait_until(lambda: self._alive_nodes(node) == 2, 120, "start of Ray's second node")

    @contextmanager
    def gpus(self, count: int) -> Iterator[None]:
        """A further node that says that it has so many GPUs; lost at the end, until Ray misses it."""
        first = (f"--address={ADDRESS}", "--num-cpus=0")
        second = ("--object-store-memory=80000000", f"--num-gpus={count}", "--block")
        self._gpu_nodes += 1
        node = self._node(f"gpus-{self._gpu_nodes}", first, second)
        try:
            wait_until(lambda: self._alive_nodes(node) == 3, 120, "start of the node with GPUs")
            yield
        finally:
            self._nodes.remove(node)
            node.kill()
            wait_until(lambda: self._alive_nodes(self._nodes[0]) == 2, 60, "notice of the lost node")

    def kill(self) -> None:
        """Ends every process of the cluster at once, as a lost node would."""
        for node in reversed(self._nodes):
            node.kill()
        self._nodes.clear()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _node(self, name: str, first: tuple[str, ...], second: tuple[str, ...]) -> Tree:
        node = Tree(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start"),
                *("--node-ip-address=127.0.0.1", "--disable-usage-stats", *first, *second),
            ],
            log=self._logs / f"ray-{name}-{self._starts}.log",
            env={key: value for key, value in self.environment.items() if key != "RAY_ADDRESS"},
        )
        self._nodes.append(node)
        return node

    def _alive_nodes(self, starting: Tree) -> int:
        output = starting.output + starting.errors
        assert starting.running, f"Ray did not start:\n{output[-3000:]}"
        request = urllib.request.Request(f"{JOBS_URL}/api/v0/nodes")
        request.add_header("Authorization", f"Bearer {TOKEN}")
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                nodes = json.load(response)["data"]["result"]["result"]
        except (OSError, ValueError):
            return 0
        return len([node for node in nodes if node["state"] == "ALIVE"])
