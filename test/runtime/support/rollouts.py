"""Rollout servers for a test."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .cluster import Cluster
from .processes import Tree, wait_until

TESTS = Path(__file__).parents[1]


def server(index: int, port: int = 1, **more: Any) -> dict[str, Any]:
    """A rollout server; the port need not exist."""
    return {"name": f"vllm_server_{index}_0", "address": ["127.0.0.1", port], **more}


@contextmanager
def rollouts(
    cluster: Cluster, namespace: str, servers: list[dict[str, Any]], log: Path
) -> Iterator[None]:
    """Registers rollout servers for as long as the context lasts."""
    driver = Tree(
        [sys.executable, "-m", "support.fake_rollouts", namespace, json.dumps(servers)],
        log=log,
        env=cluster.environment,
        cwd=TESTS,
    )
    try:

        def registered() -> bool:
            assert driver.running, driver.errors[-2000:]
            return "registered" in driver.output

        wait_until(registered, 60, "registration of the rollout servers")
        yield
    finally:
        driver.kill()
